// JSON Schemas as kinds of schemas, which is how they are compared: what a schema says about texts, numbers, objects and so
// on apart, and what says several of these things as a combination of them.

import type { JsonNode } from '../../kernel/json-tree.ts'

export type SchemaNode =
  | PlainSchema
  | StringSchema
  | NumberSchema
  | ObjectSchema
  | ArraySchema
  | ConstSchema
  | EnumSchema
  | NotSchema
  | CombinedSchema
  | ReferenceSchema

/** What any schema may have, and what means nothing to who reads a value. */
export interface SchemaNotes {
  readonly id?: string | undefined
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly default?: JsonNode | undefined
  /** Of Kafka Connect. */
  readonly connectType?: string | undefined
}

interface Noted {
  readonly notes: SchemaNotes
}

export interface PlainSchema extends Noted {
  readonly kind: 'empty' | 'true' | 'false' | 'boolean' | 'null' | 'conditional'
}

/** Numbers as they are written: they are compared as decimals. */
export type Bound = string | undefined

export interface StringSchema extends Noted {
  readonly kind: 'string'
  readonly minLength: Bound
  readonly maxLength: Bound
  readonly pattern: string | undefined
}

export interface NumberSchema extends Noted {
  readonly kind: 'number'
  readonly isInteger: boolean
  readonly minimum: Bound
  readonly maximum: Bound
  readonly exclusiveMinimum: Bound
  readonly exclusiveMaximum: Bound
  readonly multipleOf: Bound
}

/** Of what is not named: whatever it is, nothing at all, or what a schema says. */
export type Additional = 'any' | 'none' | SchemaNode

export interface ObjectSchema extends Noted {
  readonly kind: 'object'
  readonly properties: ReadonlyMap<string, SchemaNode>
  readonly required: ReadonlySet<string>
  readonly patternProperties: ReadonlyMap<string, SchemaNode>
  readonly additional: Additional
  /** undefined: nothing is said. */
  readonly unevaluated: Additional | undefined
  readonly minProperties: Bound
  readonly maxProperties: Bound
  readonly requiredWith: ReadonlyMap<string, readonly string[]>
  readonly schemaWith: ReadonlyMap<string, SchemaNode>
}

export interface ArraySchema extends Noted {
  readonly kind: 'array'
  /** Of all items. */
  readonly items: SchemaNode | undefined
  /** By their places. */
  readonly tuple: readonly SchemaNode[] | undefined
  /** Behind the tuple. */
  readonly additional: Additional
  readonly unevaluated: Additional | undefined
  readonly minItems: Bound
  readonly maxItems: Bound
  readonly minContains: Bound
  readonly maxContains: Bound
  readonly isUnique: boolean
}

export interface ConstSchema extends Noted {
  readonly kind: 'const'
  readonly value: JsonNode
}

export interface EnumSchema extends Noted {
  readonly kind: 'enum'
  readonly values: readonly JsonNode[]
}

export interface NotSchema extends Noted {
  readonly kind: 'not'
  readonly inner: SchemaNode
}

export interface CombinedSchema extends Noted {
  readonly kind: 'combined'
  readonly criterion: 'allOf' | 'anyOf' | 'oneOf'
  /** No two are equal. */
  readonly parts: readonly SchemaNode[]
}

export interface ReferenceSchema extends Noted {
  readonly kind: 'reference'
  /** Worked out when it is asked for: schemas may refer to themselves. */
  readonly target: () => SchemaNode
}
