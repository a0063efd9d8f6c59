// From a JSON Schema's text to the kinds of schemas that it is made of.

import type { JsonNode, JsonObject } from '../../kernel/json-tree.ts'
import { printJsonTree } from '../../kernel/json-tree.ts'
import type { JsonSchemaDocuments, Place } from './json-schema-documents.ts'
import { textIn, within } from './json-schema-documents.ts'
import type {
  Additional,
  ArraySchema,
  Bound,
  CombinedSchema,
  NumberSchema,
  ObjectSchema,
  SchemaNode,
  SchemaNotes,
  StringSchema,
} from './json-schema-tree.ts'

const STRING_WORDS = ['minLength', 'maxLength', 'pattern']
const NUMBER_WORDS = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf']
const ARRAY_WORDS = [
  'items',
  'prefixItems',
  'additionalItems',
  'unevaluatedItems',
  'minItems',
  'maxItems',
  'uniqueItems',
  'contains',
  'minContains',
  'maxContains',
]
const OBJECT_WORDS = [
  'properties',
  'required',
  'patternProperties',
  'additionalProperties',
  'unevaluatedProperties',
  'propertyNames',
  'minProperties',
  'maxProperties',
  'dependencies',
  'dependentRequired',
  'dependentSchemas',
]

const NO_NOTES: SchemaNotes = {}

export class SchemaBuilder {
  readonly #documents: JsonSchemaDocuments
  /** A schema that is referred to from several places is one. */
  readonly #built = new Map<JsonNode, SchemaNode>()

  constructor(documents: JsonSchemaDocuments) {
    this.#documents = documents
  }

  build(place: Place): SchemaNode {
    const known = this.#built.get(place.node)
    if (known !== undefined) return known
    const built = this.#buildNew(place)
    this.#built.set(place.node, built)
    return built
  }

  #buildNew(place: Place): SchemaNode {
    const { node, document } = place
    if (node.kind === 'boolean') return { kind: node.value ? 'true' : 'false', notes: NO_NOTES }
    if (node.kind !== 'object' || node.members.size === 0) return { kind: 'empty', notes: NO_NOTES }
    const notes = notesOf(node)
    const reference = textIn(node, '$ref') ?? textIn(node, '$dynamicRef') ?? textIn(node, '$recursiveRef')
    const referred = reference === undefined ? [] : [this.#reference(reference, place, notes)]
    // up to draft 7 a reference stands alone
    const parts =
      referred.length > 0 && document.draft <= 7 ? referred : [...referred, ...this.#parts(node, place, notes)]
    const [only] = parts
    if (only === undefined) return { kind: 'empty', notes }
    return parts.length === 1 ? only : { kind: 'combined', criterion: 'allOf', parts, notes }
  }

  #reference(reference: string, place: Place, notes: SchemaNotes): SchemaNode {
    return {
      kind: 'reference',
      notes,
      target: () => {
        const found = this.#documents.find(reference, place)
        return found === undefined ? { kind: 'empty', notes: NO_NOTES } : this.build(found)
      },
    }
  }

  /** What the schema says of values, kind by kind. */
  #parts(node: JsonObject, place: Place, notes: SchemaNotes): SchemaNode[] {
    const { members } = node
    const parts: SchemaNode[] = []
    const typed = this.#typed(node, place, notes)
    if (typed !== undefined) parts.push(typed)
    const constant = members.get('const')
    if (constant !== undefined) parts.push({ kind: 'const', value: constant, notes })
    const values = members.get('enum')
    if (values?.kind === 'array') parts.push({ kind: 'enum', values: values.items, notes })
    const not = members.get('not')
    if (not !== undefined) parts.push({ kind: 'not', inner: this.build(within(not, place)), notes })
    if (members.has('if')) parts.push({ kind: 'conditional', notes })
    for (const criterion of ['allOf', 'anyOf', 'oneOf'] as const) {
      const list = members.get(criterion)
      if (list?.kind === 'array') parts.push(this.#combined(criterion, list.items, place, notes))
    }
    return parts
  }

  #combined(
    criterion: CombinedSchema['criterion'],
    items: readonly JsonNode[],
    place: Place,
    notes: SchemaNotes,
  ): SchemaNode {
    // what stands there twice asks for nothing more
    const distinct = new Map(items.map((item) => [printJsonTree(item, { sorted: true }), item]))
    const parts = [...distinct.values()].map((item) => this.build(within(item, place)))
    return { kind: 'combined', criterion, parts, notes }
  }

  #typed(node: JsonObject, place: Place, notes: SchemaNotes): SchemaNode | undefined {
    const type = node.members.get('type')
    if (type?.kind === 'string') return this.#ofType(type.value, node, place, notes)
    if (type?.kind === 'array') {
      const parts = type.items.flatMap((item) => {
        return item.kind === 'string' ? (this.#ofType(item.value, node, place, NO_NOTES) ?? []) : []
      })
      return parts.length === 1
        ? { ...(parts[0] as SchemaNode), notes }
        : { kind: 'combined', criterion: 'anyOf', parts, notes }
    }
    const has = (words: readonly string[]) => words.some((word) => node.members.has(word))
    const kinds = [
      ...(has(STRING_WORDS) ? ['string'] : []),
      ...(has(NUMBER_WORDS) ? ['number'] : []),
      ...(has(ARRAY_WORDS) ? ['array'] : []),
      ...(has(OBJECT_WORDS) ? ['object'] : []),
    ]
    const parts = kinds.flatMap((kind) => this.#ofType(kind, node, place, notes) ?? [])
    return parts.length > 1 ? { kind: 'combined', criterion: 'allOf', parts, notes } : parts[0]
  }

  #ofType(type: string, node: JsonObject, place: Place, notes: SchemaNotes): SchemaNode | undefined {
    switch (type) {
      case 'string':
        return stringOf(node, notes)
      case 'integer':
      case 'number':
        return numberOf(node, notes, type === 'integer')
      case 'boolean':
      case 'null':
        return { kind: type, notes }
      case 'array':
        return this.#array(node, place, notes)
      case 'object':
        return this.#object(node, place, notes)
      default:
        return undefined
    }
  }

  #object(node: JsonObject, place: Place, notes: SchemaNotes): ObjectSchema {
    const dependencies = [
      ...mapIn(node, 'dependencies'),
      ...mapIn(node, 'dependentRequired'),
      ...mapIn(node, 'dependentSchemas'),
    ]
    const lists = dependencies.flatMap(([name, value]) =>
      value.kind === 'array' ? [[name, textsOf(value)] as const] : [],
    )
    const schemas = dependencies.filter(([, value]) => value.kind !== 'array')
    const required = node.members.get('required')
    return {
      kind: 'object',
      notes,
      properties: this.#schemas(mapIn(node, 'properties'), place),
      required: new Set(required === undefined ? [] : textsOf(required)),
      patternProperties: this.#schemas(mapIn(node, 'patternProperties'), place),
      additional: this.#additional(node, 'additionalProperties', place) ?? 'any',
      unevaluated: this.#additional(node, 'unevaluatedProperties', place),
      minProperties: boundOf(node, 'minProperties'),
      maxProperties: boundOf(node, 'maxProperties'),
      requiredWith: new Map(lists),
      schemaWith: this.#schemas(schemas, place),
    }
  }

  #array(node: JsonObject, place: Place, notes: SchemaNotes): ArraySchema {
    const { members } = node
    const items = members.get('items')
    const isNew = place.document.draft === 2020
    const prefix = members.get('prefixItems')
    const tuple = prefix?.kind === 'array' ? prefix : !isNew && items?.kind === 'array' ? items : undefined
    const others = tuple === undefined ? undefined : prefix === undefined ? 'additionalItems' : 'items'
    const unique = members.get('uniqueItems')
    return {
      kind: 'array',
      notes,
      items: tuple === undefined && items !== undefined ? this.build(within(items, place)) : undefined,
      tuple: tuple?.items.map((item) => this.build(within(item, place))),
      additional: (others && this.#additional(node, others, place)) ?? 'any',
      unevaluated: this.#additional(node, 'unevaluatedItems', place),
      minItems: boundOf(node, 'minItems'),
      maxItems: boundOf(node, 'maxItems'),
      minContains: boundOf(node, 'minContains'),
      maxContains: boundOf(node, 'maxContains'),
      isUnique: unique?.kind === 'boolean' && unique.value,
    }
  }

  #additional(node: JsonObject, member: string, place: Place): Additional | undefined {
    const value = node.members.get(member)
    if (value === undefined) return undefined
    if (value.kind === 'boolean') return value.value ? 'any' : 'none'
    return this.build(within(value, place))
  }

  #schemas(members: Iterable<readonly [string, JsonNode]>, place: Place): Map<string, SchemaNode> {
    return new Map([...members].map(([name, value]) => [name, this.build(within(value, place))]))
  }
}

function stringOf(node: JsonObject, notes: SchemaNotes): StringSchema {
  return {
    kind: 'string',
    notes,
    minLength: boundOf(node, 'minLength'),
    maxLength: boundOf(node, 'maxLength'),
    pattern: textIn(node, 'pattern'),
  }
}

/** In draft 4, exclusive bounds are said of the others. */
function numberOf(node: JsonObject, notes: SchemaNotes, isInteger: boolean): NumberSchema {
  const isExclusive = (member: string) => {
    const value = node.members.get(member)
    return value?.kind === 'boolean' && value.value
  }
  const minimum = boundOf(node, 'minimum')
  const maximum = boundOf(node, 'maximum')
  const isMinimumExclusive = isExclusive('exclusiveMinimum')
  const isMaximumExclusive = isExclusive('exclusiveMaximum')
  return {
    kind: 'number',
    notes,
    isInteger,
    minimum: isMinimumExclusive ? undefined : minimum,
    maximum: isMaximumExclusive ? undefined : maximum,
    exclusiveMinimum: isMinimumExclusive ? minimum : boundOf(node, 'exclusiveMinimum'),
    exclusiveMaximum: isMaximumExclusive ? maximum : boundOf(node, 'exclusiveMaximum'),
    multipleOf: boundOf(node, 'multipleOf'),
  }
}

function notesOf(node: JsonObject): SchemaNotes {
  return {
    id: textIn(node, '$id') ?? textIn(node, 'id'),
    title: textIn(node, 'title'),
    description: textIn(node, 'description'),
    default: node.members.get('default'),
    connectType: textIn(node, 'connect.type'),
  }
}

function boundOf(node: JsonObject, member: string): Bound {
  const value = node.members.get(member)
  return value?.kind === 'number' ? value.source : undefined
}

function mapIn(node: JsonObject, member: string): readonly (readonly [string, JsonNode])[] {
  const value = node.members.get(member)
  return value?.kind === 'object' ? [...value.members] : []
}

function textsOf(node: JsonNode): readonly string[] {
  return node.kind === 'array' ? node.items.flatMap((item) => (item.kind === 'string' ? [item.value] : [])) : []
}
