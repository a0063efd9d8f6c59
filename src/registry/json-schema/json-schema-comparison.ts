// Compares what was written with one JSON Schema (original) with what another one reads (update), kind by kind. A schema
// that refers to itself is taken to fit while it is being compared.

import { compareDecimals, isMultiple, isSameJson } from '../../kernel/json-tree.ts'
import { COMPATIBILITY_STEPS_MAX } from '../../kernel/limits.ts'
import { tooExpensive } from '../invalid-schema.ts'
import type { CompatibilityPolicy } from '../schema-format.ts'
import { compareArrays } from './json-schema-arrays.ts'
import type { AdditionalName, BoundName, SchemaComparison } from './json-schema-comparing.ts'
import { followed } from './json-schema-comparing.ts'
import type { JsonDifference, JsonDifferenceKind } from './json-schema-differences.ts'
import { isJsonIncompatible } from './json-schema-differences.ts'
import { compareObjects } from './json-schema-objects.ts'
import type {
  Additional,
  ArraySchema,
  Bound,
  CombinedSchema,
  ConstSchema,
  EnumSchema,
  NotSchema,
  NumberSchema,
  ObjectSchema,
  SchemaNode,
  StringSchema,
} from './json-schema-tree.ts'
import { matchMost } from './match-most.ts'

export function jsonDifferences(
  original: SchemaNode,
  update: SchemaNode,
  policy: CompatibilityPolicy,
): readonly JsonDifference[] {
  const comparison = new Comparison(policy, { steps: 0, underWay: new Map() }, [])
  comparison.compare(original, update)
  return comparison.found
}

/** What all comparisons of one question share. */
interface Shared {
  steps: number
  /** The updates that each original is being compared with. */
  readonly underWay: Map<SchemaNode, Set<SchemaNode>>
}

class Comparison implements SchemaComparison {
  readonly found: JsonDifference[] = []
  readonly #policy: CompatibilityPolicy
  readonly #shared: Shared
  readonly #path: string[]

  constructor(policy: CompatibilityPolicy, shared: Shared, path: readonly string[]) {
    this.#policy = policy
    this.#shared = shared
    this.#path = [...path]
  }

  get isCompatible(): boolean {
    return !this.found.some(({ kind }) => isJsonIncompatible(kind, this.#policy))
  }

  tell(kind: JsonDifferenceKind): void {
    this.found.push({ kind, path: `#/${this.#path.join('/')}` })
  }

  /** What is found by `work` is found below `steps`. */
  at(steps: readonly string[], work: () => void): void {
    this.#path.push(...steps)
    work()
    this.#path.length -= steps.length
  }

  /** For a trial: what it finds is kept with keep(). */
  trial(original: SchemaNode, update: SchemaNode): Comparison {
    const trial = new Comparison(this.#policy, this.#shared, this.#path)
    trial.compare(original, update)
    return trial
  }

  keep(trial: SchemaComparison): void {
    this.found.push(...(trial as Comparison).found)
  }

  compare(writtenBy: SchemaNode | undefined, readBy: SchemaNode | undefined): void {
    if (writtenBy === undefined && readBy === undefined) return
    if (writtenBy === undefined || readBy === undefined) {
      this.tell(writtenBy === undefined ? 'SCHEMA_ADDED' : 'SCHEMA_REMOVED')
      return
    }
    if (++this.#shared.steps > COMPATIBILITY_STEPS_MAX) throw tooExpensive()
    const original = followed(writtenBy)
    const update = followed(readBy)
    const underWay = this.#shared.underWay.get(original) ?? new Set()
    this.#shared.underWay.set(original, underWay)
    if (underWay.has(update)) return
    underWay.add(update)
    try {
      this.#compareKinds(original, update)
    } finally {
      underWay.delete(update)
    }
  }

  #compareKinds(original: SchemaNode, update: SchemaNode): void {
    if (update.kind === 'combined' && original.kind !== 'combined' && this.#joins(original, update)) return
    if (original.kind === 'combined' && update.kind !== 'combined' && this.#leaves(original, update)) return
    if (original.kind !== update.kind) {
      if (!isFineAnyway(original, update)) this.tell('TYPE_CHANGED')
      return
    }
    this.#compareNotes(original, update)
    switch (original.kind) {
      case 'string':
        this.#strings(original, update as StringSchema)
        break
      case 'number':
        this.#numbers(original, update as NumberSchema)
        break
      case 'object':
        compareObjects(this, original, update as ObjectSchema)
        break
      case 'array':
        compareArrays(this, original, update as ArraySchema)
        break
      case 'const':
        this.#constants(original, update as ConstSchema)
        break
      case 'enum':
        this.at(['enum'], () => this.#enums(original, update as EnumSchema))
        break
      case 'not':
        this.at(['not'], () => this.#nots(original, update as NotSchema))
        break
      case 'combined':
        this.#combined(original, update as CombinedSchema)
        break
      // nothing in them is compared, and references were followed
      case 'empty':
      case 'true':
      case 'false':
      case 'boolean':
      case 'null':
      case 'conditional':
      case 'reference':
        break
    }
  }

  #constants({ value: original }: ConstSchema, { value: update }: ConstSchema): void {
    if (!isSameJson(original, update)) this.at(['const'], () => this.tell('ENUM_ARRAY_CHANGED'))
  }

  /** What is let through less is read more. */
  #nots(original: NotSchema, update: NotSchema): void {
    const swapped = this.trial(update.inner, original.inner)
    this.tell(swapped.isCompatible ? 'NOT_TYPE_NARROWED' : 'NOT_TYPE_EXTENDED')
  }

  /** One that is no combination, and a combination that has it. */
  #joins(original: SchemaNode, { criterion, parts }: CombinedSchema): boolean {
    if (parts.length !== 1 && criterion === 'allOf') return false
    for (const part of parts) {
      const trial = this.trial(original, part)
      if (!trial.isCompatible) continue
      this.keep(trial)
      if (parts.length > 1) this.tell('SUM_TYPE_EXTENDED')
      return true
    }
    return false
  }

  #leaves({ criterion, parts }: CombinedSchema, update: SchemaNode): boolean {
    if (parts.length !== 1 && criterion !== 'allOf') return false
    for (const part of parts) {
      const trial = this.trial(part, update)
      if (!trial.isCompatible) continue
      this.keep(trial)
      if (parts.length > 1) this.tell('PRODUCT_TYPE_NARROWED')
      return true
    }
    return false
  }

  #compareNotes({ notes: original }: SchemaNode, { notes: update }: SchemaNode): void {
    if (original.id !== update.id) this.at(['id'], () => this.tell('ID_CHANGED'))
    if (original.title !== update.title) this.at(['title'], () => this.tell('TITLE_CHANGED'))
    if (original.description !== update.description) this.at(['description'], () => this.tell('DESCRIPTION_CHANGED'))
    const before = original.default
    const after = update.default
    const isSame = before === undefined || after === undefined ? before === after : isSameJson(before, after)
    if (!isSame) this.at(['default'], () => this.tell('DEFAULT_CHANGED'))
  }

  #strings(original: StringSchema, update: StringSchema): void {
    this.bound('maxLength', 'MAX_LENGTH', original.maxLength, update.maxLength)
    this.bound('minLength', 'MIN_LENGTH', original.minLength, update.minLength)
    if (original.pattern === update.pattern) return
    this.at(['pattern'], () => {
      if (original.pattern === undefined) this.tell('PATTERN_ADDED')
      else this.tell(update.pattern === undefined ? 'PATTERN_REMOVED' : 'PATTERN_CHANGED')
    })
  }

  #numbers(original: NumberSchema, update: NumberSchema): void {
    this.bound('maximum', 'MAXIMUM', original.maximum, update.maximum)
    this.bound('minimum', 'MINIMUM', original.minimum, update.minimum)
    this.bound('exclusiveMaximum', 'EXCLUSIVE_MAXIMUM', original.exclusiveMaximum, update.exclusiveMaximum)
    this.bound('exclusiveMinimum', 'EXCLUSIVE_MINIMUM', original.exclusiveMinimum, update.exclusiveMinimum)
    this.at(['multipleOf'], () => this.#multiples(original.multipleOf, update.multipleOf))
    if (original.isInteger !== update.isInteger) this.tell(original.isInteger ? 'TYPE_EXTENDED' : 'TYPE_NARROWED')
  }

  #multiples(original: Bound, update: Bound): void {
    if (original === undefined && update === undefined) return
    if (original === undefined) this.tell('MULTIPLE_OF_ADDED')
    else if (update === undefined) this.tell('MULTIPLE_OF_REMOVED')
    else if (compareDecimals(original, update) === 0) return
    else if (isMultiple(update, original)) this.tell('MULTIPLE_OF_EXPANDED')
    else this.tell(isMultiple(original, update) ? 'MULTIPLE_OF_REDUCED' : 'MULTIPLE_OF_CHANGED')
  }

  #enums({ values: original }: EnumSchema, { values: update }: EnumSchema): void {
    const isAmong = (all: EnumSchema['values']) => (value: (typeof all)[number]) =>
      all.some((one) => isSameJson(one, value))
    this.#shared.steps += original.length * update.length
    if (this.#shared.steps > COMPATIBILITY_STEPS_MAX) throw tooExpensive()
    const isSuperset = original.every(isAmong(update))
    const isSubset = update.every(isAmong(original))
    if (isSuperset && isSubset) return
    this.tell(isSuperset ? 'ENUM_ARRAY_EXTENDED' : isSubset ? 'ENUM_ARRAY_NARROWED' : 'ENUM_ARRAY_CHANGED')
  }

  #combined(original: CombinedSchema, update: CombinedSchema): void {
    if (!this.#criteria(original, update)) return
    const before = original.parts.length
    const after = update.parts.length
    if (after > before) this.tell(update.criterion === 'allOf' ? 'PRODUCT_TYPE_EXTENDED' : 'SUM_TYPE_EXTENDED')
    if (after < before) this.tell(original.criterion === 'allOf' ? 'PRODUCT_TYPE_NARROWED' : 'SUM_TYPE_NARROWED')
    const fits = original.parts.map((part, at) =>
      update.parts.map((other) => {
        let trial: Comparison | undefined
        this.at([original.criterion, String(at)], () => {
          trial = this.trial(part, other)
        })
        return trial?.isCompatible === true ? trial : undefined
      }),
    )
    const matched = matchMost(fits.map((row) => row.flatMap((trial, at) => (trial === undefined ? [] : [at]))))
    for (const [at, other] of matched.entries()) if (other >= 0) this.keep(fits[at]?.[other] as Comparison)
    const count = matched.filter((other) => other >= 0).length
    if (count < Math.min(before, after)) this.tell('COMBINED_TYPE_SUBSCHEMAS_CHANGED')
  }

  /** False: they cannot be compared further. */
  #criteria(original: CombinedSchema, update: CombinedSchema): boolean {
    if (original.criterion === update.criterion) return true
    const isSingle = original.parts.length === 1 && update.parts.length === 1
    const isExtended =
      update.criterion === 'anyOf' ||
      isSingle ||
      (original.parts.length === 1 && update.criterion === 'oneOf') ||
      (update.parts.length === 1 && original.criterion === 'allOf')
    this.tell(isExtended ? 'COMBINED_TYPE_EXTENDED' : 'COMBINED_TYPE_CHANGED')
    return isExtended
  }

  /** An upper or a lower bound, by the beginning of its name. */
  bound(keyword: string, name: BoundName, original: Bound, update: Bound): void {
    if (original === undefined && update === undefined) return
    this.at([keyword], () => {
      if (original === undefined) this.tell(`${name}_ADDED`)
      else if (update === undefined) this.tell(`${name}_REMOVED`)
      else {
        const change = compareDecimals(update, original)
        if (change !== 0) this.tell(change > 0 ? `${name}_INCREASED` : `${name}_DECREASED`)
      }
    })
  }

  /** What is allowed beside what is named. */
  additional(keyword: string, name: AdditionalName, original: Additional, update: Additional): void {
    this.at([keyword], () => {
      if (original === 'none' || update === 'none') {
        if (original !== update) this.tell(original === 'none' ? `${name}_ADDED` : `${name}_REMOVED`)
      } else if (original === 'any' || update === 'any') {
        if (original !== update) this.tell(original === 'any' ? `${name}_NARROWED` : `${name}_EXTENDED`)
      } else this.compare(original, update)
    })
  }
}

/** Of different kinds, yet whatever was written can be read. */
function isFineAnyway(original: SchemaNode, update: SchemaNode): boolean {
  if (original.kind === 'false' || update.kind === 'empty' || update.kind === 'true') return true
  return original.notes.connectType === 'bytes' && update.notes.connectType === 'bytes'
}
