// How the formats refuse a schema.

import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import type { JsonNode } from '../kernel/json-tree.ts'
import { parseJsonTree } from '../kernel/json-tree.ts'

export function invalid(message: string): TailraceError {
  return new TailraceError('invalid_schema', message)
}

/** Finding out whether one reads what another wrote takes more steps than are allowed. */
export function tooExpensive(): TailraceError {
  return invalid('compatibility check too expensive')
}

/** Of a format that is written in JSON. invalid_schema. */
export function jsonOfSchema(text: string): JsonNode {
  try {
    return parseJsonTree(text)
  } catch (error) {
    throw invalid(asTailraceError(error).message)
  }
}
