// Arrays: what all items are, what the first ones are by their places, how many there may be.

import type { SchemaComparison as Comparison } from './json-schema-comparing.ts'
import { followed } from './json-schema-comparing.ts'
import type { ArraySchema, SchemaNode } from './json-schema-tree.ts'

export function compareArrays(comparison: Comparison, original: ArraySchema, update: ArraySchema): void {
  comparison.bound('maxItems', 'MAX_ITEMS', original.maxItems, update.maxItems)
  comparison.bound('minItems', 'MIN_ITEMS', original.minItems, update.minItems)
  comparison.bound('maxContains', 'MAX_CONTAINS', original.maxContains, update.maxContains)
  comparison.bound('minContains', 'MIN_CONTAINS', original.minContains, update.minContains)
  if (original.isUnique !== update.isUnique) {
    comparison.at(['uniqueItems'], () =>
      comparison.tell(update.isUnique ? 'UNIQUE_ITEMS_ADDED' : 'UNIQUE_ITEMS_REMOVED'),
    )
  }
  comparison.additional('additionalItems', 'ADDITIONAL_ITEMS', original.additional, update.additional)
  const before = original.unevaluated ?? 'any'
  comparison.additional('unevaluatedItems', 'UNEVALUATED_ITEMS', before, update.unevaluated ?? 'any')
  comparison.at(['items'], () => comparison.compare(original.items, update.items))
  compareTuples(comparison, original, update)
}

function compareTuples(comparison: Comparison, original: ArraySchema, update: ArraySchema): void {
  const before = original.tuple ?? []
  const after = update.tuple ?? []
  for (let at = 0; at < Math.max(before.length, after.length); at++) {
    comparison.at(['items', String(at)], () => {
      const was = before[at]
      const is = after[at]
      if (was !== undefined && is !== undefined) comparison.compare(was, is)
      else if (was !== undefined) removed(comparison, was, update)
      else if (is !== undefined) added(comparison, is, original)
    })
  }
}

function removed(comparison: Comparison, before: SchemaNode, update: ArraySchema): void {
  const covering = coveringSchema(update)
  if (isOpen(update)) comparison.tell('ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL')
  else if (covering !== undefined) {
    const trial = comparison.trial(before, covering)
    comparison.keep(trial)
    comparison.tell(
      trial.isCompatible
        ? 'ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL'
        : 'ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL',
    )
  } else if (followed(before).kind === 'false') {
    comparison.tell('ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL')
  } else comparison.tell('ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL')
}

function added(comparison: Comparison, after: SchemaNode, original: ArraySchema): void {
  const covering = coveringSchema(original)
  if (isOpen(original)) {
    const { kind } = followed(after)
    const isEmpty = kind === 'empty' || kind === 'true'
    comparison.tell(isEmpty ? 'ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL' : 'ITEM_ADDED_TO_OPEN_CONTENT_MODEL')
  } else if (covering === undefined) comparison.tell('ITEM_ADDED_TO_CLOSED_CONTENT_MODEL')
  else {
    const trial = comparison.trial(covering, after)
    comparison.keep(trial)
    comparison.tell(
      trial.isCompatible
        ? 'ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL'
        : 'ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL',
    )
  }
}

function isOpen({ additional, unevaluated }: ArraySchema): boolean {
  return additional === 'any' && (unevaluated === undefined || unevaluated === 'any')
}

function coveringSchema({ additional, unevaluated }: ArraySchema): SchemaNode | undefined {
  if (typeof additional !== 'string') return additional
  return typeof unevaluated === 'object' ? unevaluated : undefined
}
