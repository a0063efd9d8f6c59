// Objects: a property that is added or removed is judged by what the other schema says of properties that it does not name
// (its content model): it takes anything (open), nothing (closed), or what fits a schema (partially open).

import type { SchemaComparison as Comparison } from './json-schema-comparing.ts'
import { followed } from './json-schema-comparing.ts'
import type { JsonDifferenceKind } from './json-schema-differences.ts'
import type { ObjectSchema, SchemaNode } from './json-schema-tree.ts'
import { matchesPattern } from './pattern-match.ts'

export function compareObjects(comparison: Comparison, original: ObjectSchema, update: ObjectSchema): void {
  compareRequired(comparison, original, update)
  const names = new Set([...original.properties.keys(), ...update.properties.keys()])
  for (const name of names) {
    comparison.at(['properties', name], () => compareProperty(comparison, name, original, update))
  }
  compareDependencies(comparison, original, update)
  comparison.additional('additionalProperties', 'ADDITIONAL_PROPERTIES', original.additional, update.additional)
  const before = original.unevaluated ?? 'any'
  comparison.additional('unevaluatedProperties', 'UNEVALUATED_PROPERTIES', before, update.unevaluated ?? 'any')
  comparison.bound('maxProperties', 'MAX_PROPERTIES', original.maxProperties, update.maxProperties)
  comparison.bound('minProperties', 'MIN_PROPERTIES', original.minProperties, update.minProperties)
}

/** Of properties that both have. */
function compareRequired(comparison: Comparison, original: ObjectSchema, update: ObjectSchema): void {
  for (const name of original.properties.keys()) {
    const after = update.properties.get(name)
    const wasRequired = original.required.has(name)
    if (after === undefined || wasRequired === update.required.has(name)) continue
    comparison.at(['required', name], () => {
      if (wasRequired) comparison.tell('REQUIRED_ATTRIBUTE_REMOVED')
      else comparison.tell(hasDefault(after) ? 'REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED' : 'REQUIRED_ATTRIBUTE_ADDED')
    })
  }
}

function compareProperty(comparison: Comparison, name: string, original: ObjectSchema, update: ObjectSchema): void {
  const before = original.properties.get(name)
  const after = update.properties.get(name)
  if (before !== undefined && after !== undefined) comparison.compare(before, after)
  else if (before !== undefined) removed(comparison, name, before, update)
  else if (after !== undefined) added(comparison, name, after, original, update)
}

function removed(comparison: Comparison, name: string, before: SchemaNode, update: ObjectSchema): void {
  const covering = coveringSchema(name, update)
  if (isOpen(update)) comparison.tell('PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL')
  else if (covering !== undefined) {
    const trial = comparison.trial(before, covering)
    comparison.keep(trial)
    comparison.tell(
      trial.isCompatible
        ? 'PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL'
        : 'PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL',
    )
  } else if (followed(before).kind === 'false') {
    comparison.tell('PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL')
  } else comparison.tell('PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL')
}

function added(
  comparison: Comparison,
  name: string,
  after: SchemaNode,
  original: ObjectSchema,
  update: ObjectSchema,
): void {
  const isRequired = update.required.has(name)
  if (isOpen(original)) {
    const { kind } = followed(after)
    if (kind === 'empty' || kind === 'true') comparison.tell('PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL')
    else if (!isRequired) comparison.tell('OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL')
    else if (hasDefault(after)) comparison.tell('REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL')
    else comparison.tell('REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL')
    return
  }
  const covering = coveringSchema(name, original)
  if (covering !== undefined) {
    const trial = comparison.trial(covering, after)
    comparison.keep(trial)
    comparison.tell(
      trial.isCompatible
        ? 'PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL'
        : 'PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL',
    )
  }
  if (!isRequired) comparison.tell('OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL')
  else if (hasDefault(after)) comparison.tell('REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL')
  else comparison.tell('REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL')
}

function compareDependencies(comparison: Comparison, original: ObjectSchema, update: ObjectSchema): void {
  for (const name of new Set([...original.requiredWith.keys(), ...update.requiredWith.keys()])) {
    comparison.at(['dependencies', name], () => {
      const kind = changeOfNames(original.requiredWith.get(name), update.requiredWith.get(name))
      if (kind !== undefined) comparison.tell(kind)
    })
  }
  for (const name of new Set([...original.schemaWith.keys(), ...update.schemaWith.keys()])) {
    comparison.at(['dependencies', name], () => {
      const before = original.schemaWith.get(name)
      const after = update.schemaWith.get(name)
      if (before === undefined) comparison.tell('DEPENDENCY_SCHEMA_ADDED')
      else if (after === undefined) comparison.tell('DEPENDENCY_SCHEMA_REMOVED')
      else comparison.compare(before, after)
    })
  }
}

function changeOfNames(
  before: readonly string[] | undefined,
  after: readonly string[] | undefined,
): JsonDifferenceKind | undefined {
  if (before === undefined) return 'DEPENDENCY_ARRAY_ADDED'
  if (after === undefined) return 'DEPENDENCY_ARRAY_REMOVED'
  const isSuperset = before.every((one) => after.includes(one))
  const isSubset = after.every((one) => before.includes(one))
  if (isSuperset && isSubset) return undefined
  if (isSuperset) return 'DEPENDENCY_ARRAY_EXTENDED'
  return isSubset ? 'DEPENDENCY_ARRAY_NARROWED' : 'DEPENDENCY_ARRAY_CHANGED'
}

function isOpen({ additional, unevaluated, patternProperties }: ObjectSchema): boolean {
  const isUnevaluatedFree = unevaluated === undefined || unevaluated === 'any' || isEmptySchema(unevaluated)
  return additional === 'any' && patternProperties.size === 0 && isUnevaluatedFree
}

function isEmptySchema(schema: 'none' | SchemaNode): boolean {
  return schema !== 'none' && (schema.kind === 'empty' || schema.kind === 'true')
}

/** What a schema that does not name a property says of it; undefined: nothing. */
function coveringSchema(
  name: string,
  { patternProperties, additional, unevaluated }: ObjectSchema,
): SchemaNode | undefined {
  for (const [pattern, schema] of patternProperties) if (matchesPattern(pattern, name)) return schema
  if (typeof additional !== 'string') return additional
  return typeof unevaluated === 'object' ? unevaluated : undefined
}

function hasDefault(schema: SchemaNode): boolean {
  return schema.notes.default !== undefined || followed(schema).notes.default !== undefined
}
