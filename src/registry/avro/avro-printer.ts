// Avro schemas as text: as they are stored, where whatever their authors wrote stays, in an order that is fixed by the
// kind of type; and normalised, where texts that mean the same are the same.

import { javaDouble } from '../../kernel/java-number.ts'
import type { JsonNode } from '../../kernel/json-tree.ts'
import { printJsonTree } from '../../kernel/json-tree.ts'
import type { AvroField, AvroName, AvroNamed, AvroProperties, AvroType } from './avro-type.ts'
import { fullNameOf, isNamed } from './avro-type.ts'

export interface AvroPrinting {
  readonly isNormalized?: boolean
  /** Types of schemas that are referred to are written out where they are named first. */
  readonly isResolved?: boolean
}

export function printAvro(type: AvroType, printing: AvroPrinting = {}): string {
  return new AvroPrinter(printing).print(type, '')
}

type Member = readonly [name: string, json: string]

class AvroPrinter {
  readonly #printing: AvroPrinting
  readonly #defined = new Set<AvroNamed>()

  constructor(printing: AvroPrinting) {
    this.#printing = printing
  }

  /** `namespace`: of what stands around it. */
  print(type: AvroType, namespace: string): string {
    if (isNamed(type)) {
      const isKnown = this.#defined.has(type) || (type.isReferenced && this.#printing.isResolved !== true)
      if (isKnown) return quoted(this.#reference(type.name, namespace))
      this.#defined.add(type)
    }
    return this.#printing.isNormalized === true ? this.#normalized(type) : this.#canonical(type, namespace)
  }

  #reference(name: AvroName, namespace: string): string {
    const isNear = name.namespace === namespace && this.#printing.isNormalized !== true
    return isNear ? name.short : fullNameOf(name)
  }

  #canonical(type: AvroType, namespace: string): string {
    switch (type.kind) {
      case 'union':
        return `[${type.branches.map((branch) => this.print(branch, namespace)).join(',')}]`
      case 'array':
        return objectOf([
          text('type', 'array'),
          ['items', this.print(type.items, namespace)],
          ...propertiesOf(type.properties),
        ])
      case 'map':
        return objectOf([
          text('type', 'map'),
          ['values', this.print(type.values, namespace)],
          ...propertiesOf(type.properties),
        ])
      case 'record':
        return objectOf([
          ...headOf(type, type.isError ? 'error' : 'record', namespace),
          ['fields', `[${type.fields.map((field) => this.#field(field, type.name.namespace)).join(',')}]`],
          ...propertiesOf(type.properties),
          ...aliasesOf(type),
        ])
      case 'enum':
        return objectOf([
          ...headOf(type, 'enum', namespace),
          ['symbols', textsOf(type.symbols)],
          ...(type.defaultSymbol === undefined ? [] : [text('default', type.defaultSymbol)]),
          ...propertiesOf(type.properties),
          ...aliasesOf(type),
        ])
      case 'fixed':
        return objectOf([
          ...headOf(type, 'fixed', namespace),
          ['size', String(type.size)],
          ...propertiesOf(type.properties),
          ...aliasesOf(type),
        ])
      default:
        if (type.properties.size === 0) return quoted(type.kind)
        return objectOf([text('type', type.kind), ...propertiesOf(type.properties)])
    }
  }

  #field(field: AvroField, namespace: string): string {
    return objectOf([
      text('name', field.name),
      ['type', this.print(field.type, namespace)],
      ...(field.doc === undefined ? [] : [text('doc', field.doc)]),
      ...(field.default === undefined ? [] : [['default', json(field.default)] as Member]),
      ...(field.order === 'ascending' ? [] : [text('order', field.order)]),
      ...(field.aliases.length === 0 ? [] : [['aliases', textsOf(field.aliases)] as Member]),
      ...propertiesOf(field.properties),
    ])
  }

  #normalized(type: AvroType): string {
    switch (type.kind) {
      case 'union':
        return `[${type.branches.map((branch) => this.print(branch, '')).join(',')}]`
      case 'array':
        return objectOf([text('type', 'array'), ['items', this.print(type.items, '')], ...sortedOf(type.properties)])
      case 'map':
        return objectOf([text('type', 'map'), ['values', this.print(type.values, '')], ...sortedOf(type.properties)])
      case 'record': {
        const fields = type.fields.map((field) => this.#normalizedField(field))
        return normalizedNamed(type, type.isError ? 'error' : 'record', [['fields', `[${fields.join(',')}]`]])
      }
      case 'enum':
        return normalizedNamed(type, 'enum', [['symbols', textsOf(type.symbols)]], type.defaultSymbol)
      case 'fixed':
        return normalizedNamed(type, 'fixed', [['size', String(type.size)]])
      default:
        if (type.properties.size === 0) return quoted(type.kind)
        return objectOf([text('type', type.kind), ...logicalFirst(type.properties)])
    }
  }

  #normalizedField(field: AvroField): string {
    return objectOf([
      text('name', field.name),
      ['type', this.print(field.type, '')],
      text('order', field.order),
      ...(field.doc === undefined ? [] : [text('doc', field.doc)]),
      ...(field.aliases.length === 0 ? [] : [['aliases', textsOf(field.aliases.toSorted())] as Member]),
      ...(field.default === undefined ? [] : [['default', json(field.default, true)] as Member]),
      ...sortedOf(field.properties),
    ])
  }
}

function normalizedNamed(type: AvroNamed, kind: string, members: readonly Member[], defaultSymbol?: string): string {
  const [logical, others] = splitLogical(type.properties)
  const aliases = type.aliases.map(fullNameOf).sort()
  return objectOf([
    text('name', fullNameOf(type.name)),
    text('type', kind),
    ...members,
    ...logical,
    ...(type.doc === undefined || type.doc === '' ? [] : [text('doc', type.doc)]),
    ...(aliases.length === 0 ? [] : [['aliases', textsOf(aliases)] as Member]),
    ...(defaultSymbol === undefined ? [] : [text('default', defaultSymbol)]),
    ...others,
  ])
}

function headOf(type: AvroNamed, kind: string, enclosing: string): readonly Member[] {
  const { short, namespace } = type.name
  return [
    text('type', kind),
    text('name', short),
    ...(namespace === enclosing ? [] : [text('namespace', namespace)]),
    ...(type.doc === undefined ? [] : [text('doc', type.doc)]),
  ]
}

function aliasesOf({ aliases, name }: AvroNamed): readonly Member[] {
  if (aliases.length === 0) return []
  return [
    [
      'aliases',
      textsOf(aliases.map((alias) => (alias.namespace === name.namespace ? alias.short : fullNameOf(alias)))),
    ],
  ]
}

function propertiesOf(properties: AvroProperties): readonly Member[] {
  return [...properties].map(([name, value]) => [name, json(value)])
}

function sortedOf(properties: AvroProperties): readonly Member[] {
  return [...properties]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => [name, json(value, true)])
}

/** The logical type with its parameters, and what is left. */
function splitLogical(properties: AvroProperties): readonly [logical: readonly Member[], others: readonly Member[]] {
  const logicalType = properties.get('logicalType')
  if (logicalType?.kind !== 'string') return [[], sortedOf(properties)]
  const taken = new Set(['logicalType'])
  const logical: Member[] = [text('logicalType', logicalType.value)]
  if (logicalType.value === 'decimal') {
    for (const name of ['precision', 'scale']) {
      const parameter = properties.get(name)
      if (parameter === undefined) continue
      taken.add(name)
      if (name === 'scale' && parameter.kind === 'number' && Number(parameter.source) === 0) continue
      logical.push([name, json(parameter, true)])
    }
  }
  return [logical, sortedOf(new Map([...properties].filter(([name]) => !taken.has(name))))]
}

function logicalFirst(properties: AvroProperties): readonly Member[] {
  const [logical, others] = splitLogical(properties)
  return [...logical, ...others]
}

function json(node: JsonNode, sorted = false): string {
  return printJsonTree(node, { sorted, number: numberText })
}

/** Whole numbers keep their digits, the others are printed as Java's doubles. */
function numberText(source: string): string {
  if (/^-?\d+$/.test(source)) return source
  const value = Number(source)
  return Number.isFinite(value) ? javaDouble(value) : quoted(value > 0 ? 'Infinity' : '-Infinity')
}

function objectOf(members: readonly Member[]): string {
  return `{${members.map(([name, value]) => `${quoted(name)}:${value}`).join(',')}}`
}

function text(name: string, value: string): Member {
  return [name, quoted(value)]
}

function textsOf(values: readonly string[]): string {
  return `[${values.map(quoted).join(',')}]`
}

function quoted(value: string): string {
  return JSON.stringify(value)
}
