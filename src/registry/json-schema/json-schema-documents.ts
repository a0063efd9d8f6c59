// A JSON Schema with those that it refers to: where each of its parts is found by the names that `$ref` gives it. Nothing is
// fetched: what is not among the references is not there.

import type { TailraceError } from '../../kernel/errors.ts'
import type { JsonNode, JsonObject } from '../../kernel/json-tree.ts'
import { JSON_SCHEMA_NODES_MAX, SCHEMA_DEPTH_MAX } from '../../kernel/limits.ts'
import { invalid } from '../invalid-schema.ts'
import { REMOTE_REFERENCE } from '../registry-failure.ts'
import type { PartKind } from './json-schema-parts.ts'
import { kindWithin } from './json-schema-parts.ts'

export type Draft = 4 | 6 | 7 | 2019 | 2020

const DRAFT_OF: Readonly<Record<string, Draft>> = {
  'json-schema.org/schema': 4,
  'json-schema.org/draft-04/schema': 4,
  'json-schema.org/draft-06/schema': 6,
  'json-schema.org/draft-07/schema': 7,
  'json-schema.org/draft/2019-09/schema': 2019,
  'json-schema.org/draft/2020-12/schema': 2020,
}

/** Draft 7 where none is named, or one that nobody knows. */
export function draftOf(root: JsonNode): Draft {
  const name = textIn(root, '$schema') ?? ''
  return DRAFT_OF[name.replace(/^https?:\/\//, '').replace(/#$/, '')] ?? 7
}

export interface Place {
  readonly node: JsonNode
  /** What references in it are relative to. */
  readonly base: string
  readonly document: Document
}

interface Document {
  readonly root: JsonNode
  readonly draft: Draft
}

/** Where the names of schemas that have none begin. */
const NOWHERE = 'schema:///'

const META_SCHEMA = /^https?:\/\/json-schema\.org\//

export class JsonSchemaDocuments {
  readonly root: Place
  /** By absolute names, with and without fragments. */
  readonly #places = new Map<string, Place>()
  #nodes = 0

  /** `references`: by the names under which they are referred to. */
  constructor(root: JsonNode, references: readonly { readonly name: string; readonly root: JsonNode }[]) {
    this.root = this.#add(root, NOWHERE)
    for (const { name, root: other } of references) {
      const names = [resolve(name, this.root.base), resolve(name, NOWHERE), name]
      const place = this.#add(other, names[0] as string)
      for (const one of names)
        if (!this.#places.has(withoutFragment(one))) this.#places.set(withoutFragment(one), place)
    }
  }

  /** What a reference in `from` means; undefined: a meta-schema, which says nothing of a value here. invalid_schema: it is not there. */
  find(reference: string, from: Place): Place | undefined {
    const name = resolve(reference, from.base)
    const [url = '', fragment = ''] = split(name)
    const anchored = this.#places.get(name)
    if (anchored !== undefined) return anchored
    const document = this.#places.get(url) ?? this.#places.get(split(reference)[0] as string)
    if (document === undefined) {
      if (META_SCHEMA.test(url)) return undefined
      throw notThere(reference, url)
    }
    const found = fragment === '' ? document : this.#walk(document, fragment)
    if (found === undefined)
      throw invalid(`the reference ${shown(reference)} leads nowhere: there is no ${shown(fragment)}`)
    return found
  }

  /** What stands at a JSON pointer. */
  #walk(document: Place, pointer: string): Place | undefined {
    if (!pointer.startsWith('/')) return undefined
    let place = document
    for (const escaped of pointer.slice(1).split('/')) {
      const step = decoded(escaped).replaceAll('~1', '/').replaceAll('~0', '~')
      const node = stepInto(place.node, step, place === document)
      if (node === undefined) return undefined
      place = { ...place, node, base: baseWithin(node, place) }
    }
    return place
  }

  #add(root: JsonNode, base: string): Place {
    const document: Document = { root, draft: draftOf(root) }
    const place: Place = { node: root, base: baseWithin(root, { node: root, base, document }), document }
    this.#places.set(withoutFragment(base), place)
    this.#index(place, 0, 'schema')
    return place
  }

  #index(place: Place, depth: number, kind: PartKind): void {
    if (depth > SCHEMA_DEPTH_MAX) throw invalid(`it is nested too deeply: at most ${SCHEMA_DEPTH_MAX} levels`)
    if (++this.#nodes > JSON_SCHEMA_NODES_MAX) throw invalid(`it has more than ${JSON_SCHEMA_NODES_MAX} parts`)
    const { node } = place
    if (node.kind === 'array') {
      for (const item of node.items) this.#index(within(item, place), depth + 1, kindWithin(kind, ''))
    } else if (node.kind === 'object') {
      if (kind === 'schema') this.#name(node, place)
      for (const [name, value] of node.members) this.#index(within(value, place), depth + 1, kindWithin(kind, name))
    }
  }

  #name(node: JsonObject, place: Place): void {
    const own = idOf(node, place.document.draft)
    if (own !== undefined) {
      const name = withoutFragment(place.base)
      if (!this.#places.has(name)) this.#places.set(name, place)
      if (own.startsWith('#')) this.#places.set(`${name}${own}`, place)
    }
    for (const member of ['$anchor', '$dynamicAnchor']) {
      const anchor = textIn(node, member)
      if (anchor !== undefined) this.#places.set(`${withoutFragment(place.base)}#${anchor}`, place)
    }
  }
}

function stepInto(node: JsonNode, step: string, isRoot: boolean): JsonNode | undefined {
  if (node.kind === 'array') return /^\d+$/.test(step) ? node.items[Number(step)] : undefined
  if (node.kind !== 'object') return undefined
  const found = node.members.get(step)
  // at the root, definitions go by both of their names
  if (!isRoot || (step !== '$defs' && step !== 'definitions')) return found
  const other = node.members.get(step === '$defs' ? 'definitions' : '$defs')
  if (found?.kind !== 'object' || other?.kind !== 'object') return found ?? other
  const known = joined.get(node)
  if (known !== undefined) return known
  const both: JsonObject = { kind: 'object', members: new Map([...other.members, ...found.members]) }
  joined.set(node, both)
  return both
}

/** The definitions of roots that have them under both names: each reference asks for them. */
const joined = new WeakMap<JsonNode, JsonObject>()

export function within(node: JsonNode, place: Place): Place {
  return { ...place, node, base: baseWithin(node, place) }
}

function baseWithin(node: JsonNode, { base, document }: Place): string {
  const id = node.kind === 'object' ? idOf(node, document.draft) : undefined
  return id === undefined || id.startsWith('#') ? base : withoutFragment(resolve(id, base))
}

function idOf(node: JsonObject, draft: Draft): string | undefined {
  return textIn(node, draft === 4 ? 'id' : '$id') ?? (draft === 4 ? textIn(node, '$id') : undefined)
}

export function textIn(node: JsonNode, member: string): string | undefined {
  const value = node.kind === 'object' ? node.members.get(member) : undefined
  return value?.kind === 'string' ? value.value : undefined
}

function resolve(reference: string, base: string): string {
  try {
    return new URL(reference, base).href
  } catch {
    return reference
  }
}

function split(name: string): readonly [url: string, fragment: string] {
  const hash = name.indexOf('#')
  return hash < 0 ? [name, ''] : [name.slice(0, hash), decoded(name.slice(hash + 1))]
}

function withoutFragment(name: string): string {
  return split(name)[0]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function notThere(reference: string, url: string): TailraceError {
  if (/^https?:/.test(url)) return invalid(`${REMOTE_REFERENCE}: ${shown(url)}`)
  return invalid(`the reference ${shown(reference)} is none of the schema's references, and nothing is fetched`)
}

function shown(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`
}
