// Avro schemas from JSON, by the rules of the specification as Java's implementation reads them. What is refused says where.

import type { JsonArray, JsonNode, JsonObject } from '../../kernel/json-tree.ts'
import { printJsonTree } from '../../kernel/json-tree.ts'
import { AVRO_PARTS_MAX, SCHEMA_DEPTH_MAX } from '../../kernel/limits.ts'
import { invalid } from '../invalid-schema.ts'
import { isDefaultOf, numericDefault } from './avro-default.ts'
import type {
  AvroEnum,
  AvroField,
  AvroFixed,
  AvroName,
  AvroNamed,
  AvroPrimitive,
  AvroProperties,
  AvroRecord,
  AvroType,
  PrimitiveName,
} from './avro-type.ts'
import { branchNameOf, fullNameOf, isPrimitiveName } from './avro-type.ts'

/** Types that are known by their full names. */
export type AvroNames = Map<string, AvroNamed>

export interface AvroParsing {
  /** Defaults must fit their types, and names be of the letters that the specification allows. */
  readonly isStrict: boolean
  readonly isReferenced: boolean
}

/** Adds the types that are defined in it to `names`. invalid_schema. */
export function parseAvro(json: JsonNode, names: AvroNames, parsing: AvroParsing): AvroType {
  return new AvroParser(names, parsing).type(json, '', 0)
}

const STRICT_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const LENIENT_NAME = /^[\p{L}_][\p{L}\p{Nd}_]*$/u

const NAMED_MEMBERS = ['type', 'name', 'namespace', 'doc', 'aliases']
const RECORD_MEMBERS = new Set([...NAMED_MEMBERS, 'fields'])
const ENUM_MEMBERS = new Set([...NAMED_MEMBERS, 'symbols', 'default'])
const FIXED_MEMBERS = new Set([...NAMED_MEMBERS, 'size'])
const ARRAY_MEMBERS = new Set(['type', 'items'])
const MAP_MEMBERS = new Set(['type', 'values'])
const TYPE_MEMBERS = new Set(['type'])
const FIELD_MEMBERS = new Set(['name', 'type', 'doc', 'default', 'order', 'aliases'])

const NO_PROPERTIES: AvroProperties = new Map()

class AvroParser {
  readonly #names: AvroNames
  readonly #parsing: AvroParsing
  #parts = 0

  constructor(names: AvroNames, parsing: AvroParsing) {
    this.#names = names
    this.#parsing = parsing
  }

  type(json: JsonNode, namespace: string, depth: number): AvroType {
    if (depth > SCHEMA_DEPTH_MAX) throw invalid(`it is nested too deeply: at most ${SCHEMA_DEPTH_MAX} levels`)
    this.#count()
    switch (json.kind) {
      case 'string':
        return this.#named(json.value, namespace)
      case 'array':
        return this.#union(json, namespace, depth)
      case 'object':
        return this.#object(json, namespace, depth)
      default:
        throw invalid(`Schema not yet supported: ${shown(json)}; a schema is a name, an object or a union`)
    }
  }

  /** A part of the schema more. */
  #count(): void {
    if (++this.#parts > AVRO_PARTS_MAX) throw invalid(`it has more than ${AVRO_PARTS_MAX} fields, symbols and branches`)
  }

  #named(name: string, namespace: string): AvroType {
    if (isPrimitiveName(name)) return primitive(name)
    const known = this.#find(name, namespace)
    if (known === undefined) throw invalid(`Undefined name: "${name}"`)
    return known
  }

  #find(name: string, namespace: string): AvroNamed | undefined {
    if (name.includes('.') || namespace === '') return this.#names.get(name.replace(/^\./, ''))
    return this.#names.get(`${namespace}.${name}`) ?? this.#names.get(name)
  }

  #union(json: JsonArray, namespace: string, depth: number): AvroType {
    const branches: AvroType[] = []
    const seen = new Set<string>()
    for (const item of json.items) {
      const branch = this.type(item, namespace, depth + 1)
      if (branch.kind === 'union') throw invalid(`Nested union: ${shown(json)}`)
      const name = branchNameOf(branch)
      if (seen.has(name)) throw invalid(`Duplicate in union: ${name}`)
      seen.add(name)
      branches.push(branch)
    }
    return { kind: 'union', branches }
  }

  #object(json: JsonObject, namespace: string, depth: number): AvroType {
    const type = json.members.get('type')
    if (type === undefined) throw invalid(`No type: ${shown(json)}`)
    if (type.kind !== 'string') return this.type(type, namespace, depth + 1)
    switch (type.value) {
      case 'record':
      case 'error':
        return this.#record(json, namespace, depth, type.value === 'error')
      case 'enum':
        return this.#enum(json, namespace)
      case 'fixed':
        return this.#fixed(json, namespace)
      case 'array':
        return {
          kind: 'array',
          items: this.type(required(json, 'items', 'Array has no items type'), namespace, depth + 1),
          properties: propertiesOf(json, ARRAY_MEMBERS),
        }
      case 'map':
        return {
          kind: 'map',
          values: this.type(required(json, 'values', 'Map has no values type'), namespace, depth + 1),
          properties: propertiesOf(json, MAP_MEMBERS),
        }
      default:
        if (isPrimitiveName(type.value)) return primitive(type.value, propertiesOf(json, TYPE_MEMBERS))
        return this.#named(type.value, namespace)
    }
  }

  #record(json: JsonObject, enclosing: string, depth: number, isError: boolean): AvroRecord {
    const name = this.#name(json, enclosing)
    const fields: AvroField[] = []
    // It may name itself.
    const record: AvroRecord = {
      ...this.#head(json, name),
      kind: 'record',
      isError,
      fields,
      properties: propertiesOf(json, RECORD_MEMBERS),
    }
    this.#define(record)
    const items = required(json, 'fields', `Record has no fields: ${fullNameOf(name)}`)
    if (items.kind !== 'array') throw invalid(`Record has no fields: ${fullNameOf(name)}; they are an array`)
    const positions = new Set<string>()
    for (const item of items.items) {
      const field = this.#field(item, name, depth)
      if (positions.has(field.name)) throw invalid(`Duplicate field ${field.name} in record ${fullNameOf(name)}`)
      positions.add(field.name)
      fields.push(field)
    }
    // The default of a field may have fields of its own record: they are known only now.
    if (this.#parsing.isStrict) for (const field of fields) checkDefault(field, name)
    return record
  }

  #field(json: JsonNode, record: AvroName, depth: number): AvroField {
    if (json.kind !== 'object') throw invalid(`a field of ${fullNameOf(record)} is no object: ${shown(json)}`)
    const name = textOf(json, 'name')
    if (name === undefined) throw invalid(`No field name: ${shown(json)}`)
    this.#checkName(name)
    const typeJson = json.members.get('type')
    if (typeJson === undefined) throw invalid(`No field type: ${name}`)
    if (
      typeJson.kind === 'string' &&
      !isPrimitiveName(typeJson.value) &&
      this.#find(typeJson.value, record.namespace) === undefined
    ) {
      throw invalid(
        `"${typeJson.value}" is not a defined name. The type of the "${name}" field must be a defined name or a {"type": ...} expression.`,
      )
    }
    const type = this.type(typeJson, record.namespace, depth + 1)
    const given = json.members.get('default')
    return {
      name,
      type,
      doc: textOf(json, 'doc'),
      default: given === undefined ? undefined : numericDefault(type, given),
      order: orderOf(json),
      aliases: textsOf(json, 'aliases'),
      properties: propertiesOf(json, FIELD_MEMBERS),
    }
  }

  #enum(json: JsonObject, enclosing: string): AvroEnum {
    const name = this.#name(json, enclosing)
    const items = json.members.get('symbols')
    if (items?.kind !== 'array') throw invalid(`Enum has no symbols: ${fullNameOf(name)}`)
    const symbols: string[] = []
    const seen = new Set<string>()
    for (const item of items.items) {
      if (item.kind !== 'string') throw invalid(`a symbol of ${fullNameOf(name)} is no string: ${shown(item)}`)
      this.#checkName(item.value)
      if (seen.has(item.value)) throw invalid(`Duplicate enum symbol: ${item.value}`)
      this.#count()
      seen.add(item.value)
      symbols.push(item.value)
    }
    const defaultSymbol = textOf(json, 'default')
    if (defaultSymbol !== undefined && !seen.has(defaultSymbol)) {
      throw invalid(`The Enum Default: ${defaultSymbol} is not in the enum symbol set: [${symbols.join(', ')}]`)
    }
    const type: AvroEnum = {
      ...this.#head(json, name),
      kind: 'enum',
      symbols,
      defaultSymbol,
      properties: propertiesOf(json, ENUM_MEMBERS),
    }
    this.#define(type)
    return type
  }

  #fixed(json: JsonObject, enclosing: string): AvroFixed {
    const name = this.#name(json, enclosing)
    const size = json.members.get('size')
    if (size?.kind !== 'number' || !/^\d{1,10}$/.test(size.source) || Number(size.source) > 2 ** 31 - 1) {
      throw invalid(`Invalid or no size: ${fullNameOf(name)}; it is a whole number from 0 on`)
    }
    const type: AvroFixed = {
      ...this.#head(json, name),
      kind: 'fixed',
      size: Number(size.source),
      properties: propertiesOf(json, FIXED_MEMBERS),
    }
    this.#define(type)
    return type
  }

  #head(json: JsonObject, name: AvroName) {
    const aliases = textsOf(json, 'aliases').map((alias) => nameOf(alias, name.namespace))
    return { name, doc: textOf(json, 'doc'), aliases, isReferenced: this.#parsing.isReferenced }
  }

  #name(json: JsonObject, enclosing: string): AvroName {
    const text = textOf(json, 'name')
    if (text === undefined) throw invalid(`No name in schema: ${shown(json)}`)
    const name = nameOf(text, textOf(json, 'namespace') ?? enclosing)
    this.#checkName(name.short)
    if (name.namespace !== '') for (const part of name.namespace.split('.')) this.#checkName(part)
    return name
  }

  #checkName(name: string): void {
    const pattern = this.#parsing.isStrict ? STRICT_NAME : LENIENT_NAME
    if (pattern.test(name)) return
    if (name === '') throw invalid('Empty name')
    throw invalid(`Illegal character in: ${name}; a name has letters, digits and underscores, and begins with no digit`)
  }

  #define(type: AvroNamed): void {
    const name = fullNameOf(type.name)
    if (isPrimitiveName(name)) throw invalid(`Schemas may not be named after primitives: ${name}`)
    if (this.#names.has(name)) throw invalid(`Can't redefine: ${name}`)
    this.#names.set(name, type)
  }
}

function checkDefault({ name, type, default: given }: AvroField, record: AvroName): void {
  if (given === undefined || isDefaultOf(type, given)) return
  const kind = branchNameOf(type)
  const wanted = `${/^[aeio]/i.test(kind) ? 'an' : 'a'} ${kind}`
  throw invalid(`Invalid default for field ${name} of ${fullNameOf(record)}: ${shown(given)} is not ${wanted}`)
}

function primitive(kind: PrimitiveName, properties: AvroProperties = NO_PROPERTIES): AvroPrimitive {
  return { kind, properties }
}

function nameOf(text: string, namespace: string): AvroName {
  const dot = text.lastIndexOf('.')
  return dot < 0 ? { short: text, namespace } : { short: text.slice(dot + 1), namespace: text.slice(0, dot) }
}

function required(json: JsonObject, member: string, message: string): JsonNode {
  const value = json.members.get(member)
  if (value === undefined) throw invalid(message)
  return value
}

function textOf(json: JsonObject, member: string): string | undefined {
  const value = json.members.get(member)
  return value?.kind === 'string' ? value.value : undefined
}

function textsOf(json: JsonObject, member: string): readonly string[] {
  const value = json.members.get(member)
  if (value === undefined) return []
  if (value.kind !== 'array') throw invalid(`${member} not an array: ${shown(value)}`)
  return value.items.map((item) => {
    if (item.kind !== 'string') throw invalid(`one of the ${member} is no string: ${shown(item)}`)
    return item.value
  })
}

function orderOf(json: JsonObject): AvroField['order'] {
  const text = textOf(json, 'order')?.toLowerCase() ?? 'ascending'
  if (text === 'ascending' || text === 'descending' || text === 'ignore') return text
  throw invalid(`there is no order ${text}: ascending, descending and ignore are`)
}

function propertiesOf(json: JsonObject, known: ReadonlySet<string>): AvroProperties {
  const others = [...json.members].filter(([name]) => !known.has(name))
  return others.length === 0 ? NO_PROPERTIES : new Map(others)
}

const SHOWN_CHARS = 200

function shown(json: JsonNode): string {
  const text = printJsonTree(json)
  return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS)}…`
}
