// Tags of a schema's parts, and a version of a subject once more, with other metadata, rules and tags. Tags stand in the
// schema's text itself, as the property confluent:tags of a record, an object or a field.

import type { JsonNode, JsonObject } from '../kernel/json-tree.ts'
import { parseJsonTree, printJsonTree } from '../kernel/json-tree.ts'
import { registryFailure } from './registry-failure.ts'
import type { EntityTags, SchemaMetadata, SchemaRuleSet, StoredSchema, TagChanges } from './schema-entity.ts'
import { RULE_LISTS } from './schema-entity.ts'
import type { SchemaRequest } from './schema-finder.ts'
import { mergeRuleSets } from './schema-merge.ts'

export interface SchemaChanges extends TagChanges {
  /** 0: the next. */
  readonly version: number
  /** In place of those that it has. */
  readonly metadata: SchemaMetadata | undefined
  readonly ruleSet: SchemaRuleSet | undefined
  readonly rulesToMerge: SchemaRuleSet | undefined
  /** By their names. */
  readonly rulesToRemove: readonly string[]
}

/** To be registered. 42201: tags are of a place that the schema does not have. */
export function changedContent(stored: StoredSchema, changes: SchemaChanges): SchemaRequest {
  const { schemaType, references } = stored
  const ruleSet = mergeRuleSets(changes.ruleSet ?? stored.ruleSet, changes.rulesToMerge)
  return {
    schemaType,
    references,
    schema: retagged(stored, changes),
    metadata: changes.metadata ?? stored.metadata,
    ruleSet: ruleSet && withoutRules(ruleSet, new Set(changes.rulesToRemove)),
    version: changes.version,
  }
}

function withoutRules(ruleSet: SchemaRuleSet, names: ReadonlySet<string>): SchemaRuleSet {
  const lists = RULE_LISTS.flatMap((list) => {
    const rules = ruleSet[list]
    return rules === undefined ? [] : [[list, rules.filter(({ name = '' }) => !names.has(name))]]
  })
  return { ...ruleSet, ...Object.fromEntries(lists) }
}

/** Of one place, with the name of what it is in: undefined for a place that is no record, object or field. */
type Place = { readonly path: string; readonly isField: boolean }

type SchemaText = Pick<StoredSchema, 'schemaType' | 'schema'>

/** Every place of a text that has tags, by its path with a dot in front. Of Protobuf none: there they are options. */
export function taggedPlaces({ schemaType, schema }: SchemaText): readonly EntityTags[] {
  if (schemaType === 'PROTOBUF') return []
  const found = new Map<string, EntityTags>()
  rewritten({ schemaType, schema }, (node, { path, isField }) => {
    const tags = tagsOf(node)
    // a field that is an object itself has them as a field
    if (tags.length > 0 && !found.has(path)) found.set(path, { path: `.${path}`, isField, tags })
    return node
  })
  return [...found.values()].sort((left, right) => (left.path < right.path ? -1 : 1))
}

/** The text with the tags of the places of another one that it has, too. */
export function propagated(text: SchemaText, from: SchemaText): string {
  if (text.schemaType !== from.schemaType) return text.schema
  const tagsToAdd = taggedPlaces(from)
  const places = new Set<string>()
  if (tagsToAdd.length === 0) return text.schema
  rewritten(text, (node, place) => {
    places.add(JSON.stringify(place))
    return node
  })
  const isHere = ({ path, isField }: EntityTags) => places.has(JSON.stringify({ path: path.slice(1), isField }))
  return retagged(text, { tagsToAdd: tagsToAdd.filter(isHere), tagsToRemove: [] })
}

/** 42201: tags are of a place that the text, which must be a schema, does not have. */
export function retagged({ schemaType, schema }: SchemaText, { tagsToAdd, tagsToRemove }: TagChanges): string {
  if (tagsToAdd.length + tagsToRemove.length === 0) return schema
  if (schemaType === 'PROTOBUF')
    throw registryFailure(42201, 'Invalid schema: tags of Protobuf are options of its text')
  const found = new Set<EntityTags>()
  const retag = (node: JsonObject, place: Place): JsonObject => {
    const isOf = (one: EntityTags) => one.isField === place.isField && isPath(one.path, place.path)
    const added = tagsToAdd.filter(isOf)
    const removed = tagsToRemove.filter(isOf)
    for (const one of [...added, ...removed]) found.add(one)
    if (added.length + removed.length === 0) return node
    const gone = new Set(removed.flatMap(({ tags }) => tags))
    const tags = [...new Set([...tagsOf(node), ...added.flatMap((one) => one.tags)])].filter((tag) => !gone.has(tag))
    const members = new Map(node.members)
    if (tags.length === 0) members.delete(TAGS)
    else members.set(TAGS, { kind: 'array', items: tags.map((value) => ({ kind: 'string', value })) })
    return { kind: 'object', members }
  }
  const changed = rewritten({ schemaType, schema }, retag)
  const missing = [...tagsToAdd, ...tagsToRemove].find((one) => !found.has(one))
  if (missing !== undefined) {
    throw registryFailure(42201, `Invalid schema: it has no ${missing.isField ? 'field' : 'record'} '${missing.path}'`)
  }
  return printJsonTree(changed)
}

function rewritten({ schemaType, schema }: SchemaText, retag: Retag): JsonNode {
  const root = parseJsonTree(schema)
  return schemaType === 'AVRO' ? taggedAvro(root, '', retag) : taggedJson(root, rootName(root), false, retag)
}

const TAGS = 'confluent:tags'

function tagsOf({ members }: JsonObject): string[] {
  const tags = members.get(TAGS)
  return tags?.kind === 'array' ? tags.items.flatMap((item) => (item.kind === 'string' ? [item.value] : [])) : []
}

/** With a dot in front or without one, with the namespace or without it. */
function isPath(asked: string, path: string): boolean {
  const name = asked.replace(/^\./, '')
  return name !== '' && (name === path || path.endsWith(`.${name}`))
}

type Retag = (node: JsonObject, place: Place) => JsonObject

function taggedAvro(node: JsonNode, namespace: string, retag: Retag): JsonNode {
  if (node.kind === 'array')
    return { kind: 'array', items: node.items.map((item) => taggedAvro(item, namespace, retag)) }
  if (node.kind !== 'object') return node
  const inner = textOf(node, 'namespace') ?? namespace
  const name = textOf(node, 'name') ?? ''
  const path = name.includes('.') || inner === '' ? name : `${inner}.${name}`
  const space = path.slice(0, Math.max(0, path.lastIndexOf('.')))
  const members = new Map(node.members)
  for (const part of ['type', 'items', 'values']) {
    const type = members.get(part)
    if (type !== undefined && type.kind !== 'string') members.set(part, taggedAvro(type, inner, retag))
  }
  const fields = members.get('fields')
  if (fields?.kind !== 'array') return { kind: 'object', members }
  const items = fields.items.map((field) => {
    if (field.kind !== 'object') return field
    const type = field.members.get('type')
    const typed = new Map(field.members)
    if (type !== undefined) typed.set('type', taggedAvro(type, space, retag))
    const place = { path: `${path}.${textOf(field, 'name') ?? ''}`, isField: true }
    return retag({ kind: 'object', members: typed }, place)
  })
  members.set('fields', { kind: 'array', items })
  return retag({ kind: 'object', members }, { path, isField: false })
}

function taggedJson(node: JsonNode, path: string, isField: boolean, retag: Retag): JsonNode {
  if (node.kind !== 'object') return node
  const members = new Map(node.members)
  const properties = members.get('properties')
  if (properties?.kind === 'object') {
    const named = [...properties.members].map(([name, one]) => {
      return [name, taggedJson(one, `${path}.${name}`, true, retag)] as const
    })
    members.set('properties', { kind: 'object', members: new Map(named) })
  }
  const tagged: JsonObject = { kind: 'object', members }
  const asField = isField ? retag(tagged, { path, isField: true }) : tagged
  return properties === undefined ? asField : retag(asField, { path, isField: false })
}

function rootName(root: JsonNode): string {
  return (root.kind === 'object' ? textOf(root, 'title') : undefined) ?? 'object'
}

function textOf({ members }: JsonObject, name: string): string | undefined {
  const value = members.get(name)
  return value?.kind === 'string' ? value.value : undefined
}
