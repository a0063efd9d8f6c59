// What can differ between two JSON Schemas, whether a reader can live with it, and how it is told.

import type { CompatibilityPolicy, ReaderWriter } from '../schema-format.ts'

type Telling =
  | 'keyword_added'
  | 'value_more'
  | 'value_less'
  | 'value_different'
  | 'fewer'
  | 'more'
  | 'type_different'
  | 'added_to_open'
  | 'required_added_to_unopen'
  | 'removed_from_closed'
  | 'removed_not_covered'
  | 'added_not_covered'

/** How it is told where a reader cannot live with it; null where it can. */
const KINDS = {
  SCHEMA_ADDED: 'keyword_added',
  SCHEMA_REMOVED: null,
  ID_CHANGED: null,
  TITLE_CHANGED: null,
  DESCRIPTION_CHANGED: null,
  DEFAULT_CHANGED: null,
  TYPE_CHANGED: 'type_different',
  TYPE_EXTENDED: null,
  TYPE_NARROWED: 'type_different',
  MAX_LENGTH_ADDED: 'keyword_added',
  MAX_LENGTH_REMOVED: null,
  MAX_LENGTH_INCREASED: null,
  MAX_LENGTH_DECREASED: 'value_less',
  MIN_LENGTH_ADDED: 'keyword_added',
  MIN_LENGTH_REMOVED: null,
  MIN_LENGTH_INCREASED: 'value_more',
  MIN_LENGTH_DECREASED: null,
  PATTERN_ADDED: 'keyword_added',
  PATTERN_REMOVED: null,
  PATTERN_CHANGED: 'value_different',
  MAXIMUM_ADDED: 'keyword_added',
  MAXIMUM_REMOVED: null,
  MAXIMUM_INCREASED: null,
  MAXIMUM_DECREASED: 'value_less',
  MINIMUM_ADDED: 'keyword_added',
  MINIMUM_REMOVED: null,
  MINIMUM_INCREASED: 'value_more',
  MINIMUM_DECREASED: null,
  EXCLUSIVE_MAXIMUM_ADDED: 'keyword_added',
  EXCLUSIVE_MAXIMUM_REMOVED: null,
  EXCLUSIVE_MAXIMUM_INCREASED: null,
  EXCLUSIVE_MAXIMUM_DECREASED: 'value_less',
  EXCLUSIVE_MINIMUM_ADDED: 'keyword_added',
  EXCLUSIVE_MINIMUM_REMOVED: null,
  EXCLUSIVE_MINIMUM_INCREASED: 'value_more',
  EXCLUSIVE_MINIMUM_DECREASED: null,
  MULTIPLE_OF_ADDED: 'keyword_added',
  MULTIPLE_OF_REMOVED: null,
  MULTIPLE_OF_EXPANDED: 'value_more',
  MULTIPLE_OF_REDUCED: null,
  MULTIPLE_OF_CHANGED: 'value_different',
  ENUM_ARRAY_EXTENDED: null,
  ENUM_ARRAY_NARROWED: 'fewer',
  ENUM_ARRAY_CHANGED: 'type_different',
  NOT_TYPE_NARROWED: null,
  NOT_TYPE_EXTENDED: 'more',
  COMBINED_TYPE_EXTENDED: null,
  COMBINED_TYPE_CHANGED: 'type_different',
  COMBINED_TYPE_SUBSCHEMAS_CHANGED: 'type_different',
  PRODUCT_TYPE_EXTENDED: 'more',
  PRODUCT_TYPE_NARROWED: null,
  SUM_TYPE_EXTENDED: null,
  SUM_TYPE_NARROWED: 'fewer',
  REQUIRED_ATTRIBUTE_ADDED: 'keyword_added',
  REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED: null,
  REQUIRED_ATTRIBUTE_REMOVED: null,
  PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL: null,
  PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL: 'removed_from_closed',
  PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL: null,
  PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL: null,
  PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL: 'removed_not_covered',
  PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL: null,
  REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL: 'added_to_open',
  REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL: 'added_to_open',
  OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL: 'added_to_open',
  PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL: null,
  PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL: 'added_not_covered',
  REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL: 'required_added_to_unopen',
  REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL: null,
  OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL: null,
  ADDITIONAL_PROPERTIES_ADDED: null,
  ADDITIONAL_PROPERTIES_REMOVED: 'keyword_added',
  ADDITIONAL_PROPERTIES_EXTENDED: null,
  ADDITIONAL_PROPERTIES_NARROWED: 'fewer',
  UNEVALUATED_PROPERTIES_ADDED: null,
  UNEVALUATED_PROPERTIES_REMOVED: 'keyword_added',
  UNEVALUATED_PROPERTIES_EXTENDED: null,
  UNEVALUATED_PROPERTIES_NARROWED: 'fewer',
  MAX_PROPERTIES_ADDED: 'keyword_added',
  MAX_PROPERTIES_REMOVED: null,
  MAX_PROPERTIES_INCREASED: null,
  MAX_PROPERTIES_DECREASED: 'value_less',
  MIN_PROPERTIES_ADDED: 'keyword_added',
  MIN_PROPERTIES_REMOVED: null,
  MIN_PROPERTIES_INCREASED: 'value_more',
  MIN_PROPERTIES_DECREASED: null,
  DEPENDENCY_ARRAY_ADDED: 'keyword_added',
  DEPENDENCY_ARRAY_REMOVED: null,
  DEPENDENCY_ARRAY_EXTENDED: 'more',
  DEPENDENCY_ARRAY_NARROWED: null,
  DEPENDENCY_ARRAY_CHANGED: 'value_different',
  DEPENDENCY_SCHEMA_ADDED: 'keyword_added',
  DEPENDENCY_SCHEMA_REMOVED: null,
  MAX_ITEMS_ADDED: 'keyword_added',
  MAX_ITEMS_REMOVED: null,
  MAX_ITEMS_INCREASED: null,
  MAX_ITEMS_DECREASED: 'value_less',
  MIN_ITEMS_ADDED: 'keyword_added',
  MIN_ITEMS_REMOVED: null,
  MIN_ITEMS_INCREASED: 'value_more',
  MIN_ITEMS_DECREASED: null,
  MAX_CONTAINS_ADDED: 'keyword_added',
  MAX_CONTAINS_REMOVED: null,
  MAX_CONTAINS_INCREASED: null,
  MAX_CONTAINS_DECREASED: 'value_less',
  MIN_CONTAINS_ADDED: 'keyword_added',
  MIN_CONTAINS_REMOVED: null,
  MIN_CONTAINS_INCREASED: 'value_more',
  MIN_CONTAINS_DECREASED: null,
  UNIQUE_ITEMS_ADDED: 'keyword_added',
  UNIQUE_ITEMS_REMOVED: null,
  ADDITIONAL_ITEMS_ADDED: null,
  ADDITIONAL_ITEMS_REMOVED: 'keyword_added',
  ADDITIONAL_ITEMS_EXTENDED: null,
  ADDITIONAL_ITEMS_NARROWED: 'fewer',
  UNEVALUATED_ITEMS_ADDED: null,
  UNEVALUATED_ITEMS_REMOVED: 'keyword_added',
  UNEVALUATED_ITEMS_EXTENDED: null,
  UNEVALUATED_ITEMS_NARROWED: 'fewer',
  ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL: null,
  ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL: 'removed_from_closed',
  ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL: null,
  ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL: null,
  ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL: 'removed_not_covered',
  ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL: null,
  ITEM_ADDED_TO_OPEN_CONTENT_MODEL: 'added_to_open',
  ITEM_ADDED_TO_CLOSED_CONTENT_MODEL: null,
  ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL: null,
  ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL: 'added_not_covered',
} as const satisfies Record<string, Telling | null>

export type JsonDifferenceKind = keyof typeof KINDS

export interface JsonDifference {
  readonly kind: JsonDifferenceKind
  readonly path: string
}

/** What a lenient policy lives with, too. */
const LENIENT: ReadonlySet<JsonDifferenceKind> = new Set([
  'ADDITIONAL_PROPERTIES_NARROWED',
  'ADDITIONAL_PROPERTIES_REMOVED',
  'UNEVALUATED_PROPERTIES_NARROWED',
  'UNEVALUATED_PROPERTIES_REMOVED',
  'REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL',
  'OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL',
  'PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL',
  'PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL',
  'PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL',
])

export function isJsonIncompatible(kind: JsonDifferenceKind, policy: CompatibilityPolicy): boolean {
  return KINDS[kind] !== null && !(policy === 'LENIENT' && LENIENT.has(kind))
}

export function renderJsonDifference({ kind, path }: JsonDifference, words: ReaderWriter): string {
  return `{errorType:"${kind}", description:"${descriptionOf(KINDS[kind], path, words)}'}`
}

function descriptionOf(telling: Telling | null, path: string, { reader, writer }: ReaderWriter): string {
  switch (telling) {
    case 'keyword_added':
      return `The keyword at path '${path}' in the ${reader} schema is not present in the ${writer} schema`
    case 'value_more':
      return `The value at path '${path}' in the ${reader} schema is more than its value in the ${writer} schema`
    case 'value_less':
      return `The value at path '${path}' in the ${reader} schema is less than its value in the ${writer} schema`
    case 'value_different':
      return `The value at path '${path}' is different between the ${reader} and ${writer} schema`
    case 'fewer':
      return `An array or combined type at path '${path}' has fewer elements in the ${reader} schema than the ${writer} schema`
    case 'more':
      return `An array or combined type at path '${path}' has more elements in the ${reader} schema than the ${writer} schema`
    case 'type_different':
      return `A type at path '${path}' is different between the ${reader} schema and the ${writer} schema`
    case 'added_to_open':
      return `The ${reader} schema has an open content model and has a property or item at path '${path}' which is missing in the ${writer} schema`
    case 'required_added_to_unopen':
      return `The ${reader} schema has an unopen content model and has a required property at path '${path}' which is missing in the ${writer} schema`
    case 'removed_from_closed':
      return `The ${reader} has a closed content model and is missing a property or item present at path '${path}' in the ${writer} schema`
    case 'removed_not_covered':
      return `A property or item is missing in the ${reader} schema but present at path '${path}' in the ${writer} schema and is not covered by its partially open content model`
    case 'added_not_covered':
      return `The ${reader} schema has a property or item at path '${path}' which is missing in the ${writer} schema and is not covered by its partially open content model`
    case null:
      return `path '${path}' differs between the ${reader} and the ${writer} schema`
  }
}
