// What comparing two kinds of schemas needs of the comparison that it is a part of.

import type { JsonDifferenceKind } from './json-schema-differences.ts'
import type { Additional, Bound, SchemaNode } from './json-schema-tree.ts'

export interface SchemaComparison {
  readonly isCompatible: boolean
  tell(kind: JsonDifferenceKind): void
  /** What is found by `work` is found below `steps`. */
  at(steps: readonly string[], work: () => void): void
  compare(original: SchemaNode | undefined, update: SchemaNode | undefined): void
  /** What it finds is kept with keep(). */
  trial(original: SchemaNode, update: SchemaNode): SchemaComparison
  keep(trial: SchemaComparison): void
  /** An upper or a lower bound, by the beginning of its name. */
  bound(keyword: string, name: BoundName, original: Bound, update: Bound): void
  /** What is allowed beside what is named. */
  additional(keyword: string, name: AdditionalName, original: Additional, update: Additional): void
}

export type BoundName =
  | 'MAX_LENGTH'
  | 'MIN_LENGTH'
  | 'MAXIMUM'
  | 'MINIMUM'
  | 'EXCLUSIVE_MAXIMUM'
  | 'EXCLUSIVE_MINIMUM'
  | 'MAX_PROPERTIES'
  | 'MIN_PROPERTIES'
  | 'MAX_ITEMS'
  | 'MIN_ITEMS'
  | 'MAX_CONTAINS'
  | 'MIN_CONTAINS'

export type AdditionalName =
  | 'ADDITIONAL_PROPERTIES'
  | 'UNEVALUATED_PROPERTIES'
  | 'ADDITIONAL_ITEMS'
  | 'UNEVALUATED_ITEMS'

const REFERENCES_FOLLOWED_MAX = 100

/** What a reference means; one that means itself alone says nothing. */
export function followed(schema: SchemaNode): SchemaNode {
  let node = schema
  for (let steps = 0; node.kind === 'reference'; steps++) {
    if (steps === REFERENCES_FOLLOWED_MAX) return { kind: 'empty', notes: node.notes }
    node = node.target()
  }
  return node
}
