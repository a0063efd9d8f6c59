// Whether JSON is what a JSON Schema asks for: a well-kept library's answer, with what it must not do by itself taken away.
// Nothing is fetched, patterns are matched in linear time, a property called toString is none that every object has.

import type { Ajv, Options, ValidateFunction } from 'ajv'
import type { JsonNode } from '../kernel/json-tree.ts'
import { plainOf } from '../kernel/json-tree.ts'
import {
  JSON_SCHEMA_CHEAP_CHARS,
  JSON_SCHEMA_CHECK_MS_MAX,
  JSON_SCHEMA_CHECKS_MS_MAX,
  SCHEMA_WORK_MS_MAX,
} from '../kernel/limits.ts'
import { OutOfTime, withinTime } from '../kernel/within-time.ts'
import type { Draft } from '../registry/json-schema/json-schema-documents.ts'
import { draftOf } from '../registry/json-schema/json-schema-documents.ts'
import { faultOf } from '../registry/json-schema/json-schema-fault.ts'
import type { JsonSchema } from '../registry/json-schema/json-schema-format.ts'
import { addFormats, newAjv } from '../registry/json-schema/json-schema-library.ts'
import { matchesPattern } from '../registry/json-schema/pattern-match.ts'
import { adaptedSchema } from './json-schema-adapted.ts'
import { isCheapToCheck } from './json-schema-cost.ts'
import { SchemaDataError } from './schema-data-error.ts'

/** What a schema without a name of its own is called, so that it can be referred to. */
const NAMELESS = 'tailrace://schema/root.json'

export class JsonSchemaValidator {
  readonly #validate: ValidateFunction
  readonly #isCheap: boolean

  /** SchemaDataError: the library cannot work with it. */
  constructor(schema: JsonSchema) {
    try {
      this.#validate = withinTime(SCHEMA_WORK_MS_MAX, () => compile(schema))
      this.#isCheap = isCheapToCheck(schema.documents)
    } catch (error) {
      throw new SchemaDataError(`values cannot be checked by this schema: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }

  /** SchemaDataError, naming the place. */
  check(json: string): void {
    let isValid: boolean
    try {
      const check = () => this.#validate(JSON.parse(json)) as boolean
      isValid = this.#isCheap && json.length <= JSON_SCHEMA_CHEAP_CHARS ? check() : watched(check)
    } catch (error) {
      // it takes too long, or references that lead to themselves alone exhaust the stack
      throw new SchemaDataError(`the value cannot be checked: ${(error as Error).message}`, { cause: error })
    }
    if (!isValid) throw new SchemaDataError(faultOf(this.#validate.errors))
  }
}

/** Since others had their turn. */
let watchedMs = 0

function watched<T>(check: () => T): T {
  const left = Math.ceil(JSON_SCHEMA_CHECKS_MS_MAX - watchedMs)
  if (left <= 0) throw new OutOfTime(`the values before it took ${JSON_SCHEMA_CHECKS_MS_MAX} ms`)
  if (watchedMs === 0) {
    setImmediate(() => {
      watchedMs = 0
    })
  }
  const began = performance.now()
  try {
    return withinTime(Math.min(left, JSON_SCHEMA_CHECK_MS_MAX), check)
  } finally {
    watchedMs += performance.now() - began
  }
}

function compile(schema: JsonSchema): ValidateFunction {
  const draft = draftOf(schema.root)
  const ajv = makeAjv(draft)
  const idName = draft === 4 ? 'id' : '$id'
  const plain = plainSchema(schema.root, draft)
  const base = String((plain as Record<string, unknown>)[idName] ?? NAMELESS)
  for (const { name, root } of schema.referenced) {
    const other = plainSchema(root, draftOf(root)) as object
    for (const one of [name, resolved(name, base)]) if (ajv.getSchema(one) === undefined) ajv.addSchema(other, one)
  }
  return ajv.compile((typeof plain === 'object' ? { [idName]: NAMELESS, ...plain } : plain) as object)
}

function makeAjv(draft: Draft): Ajv {
  const options: Options = {
    strict: false,
    logger: false,
    meta: false,
    validateSchema: false,
    unicodeRegExp: false,
    ownProperties: true,
    multipleOfPrecision: 6,
    addUsedSchema: false,
    inlineRefs: false,
    code: { regExp: linearPattern },
  }
  const ajv = newAjv(draft, options)
  addFormats(ajv)
  return ajv
}

/** The library keeps them by their text. */
const linearPattern: NonNullable<NonNullable<Options['code']>['regExp']> = Object.assign(
  (pattern: string, flags: string) => ({
    test: (text: string) => matchesPattern(pattern, text),
    toString: () => `/${pattern}/${flags}`,
  }),
  { code: 'linearPattern' },
) as never

function resolved(name: string, base: string): string {
  try {
    return new URL(name, base).href
  } catch {
    return name
  }
}

/** Without what the library would take otherwise than it is meant. */
function plainSchema(root: JsonNode, draft: Draft): unknown {
  if (root.kind !== 'object') return plainOf(root)
  const members = new Map(root.members)
  members.delete('$schema')
  const definitions = members.get('definitions')
  const defs = members.get('$defs')
  const all = [definitions, defs].flatMap((one) => (one?.kind === 'object' ? [...one.members] : []))
  if (all.length > 0) {
    members.set('definitions', { kind: 'object', members: new Map(all) })
    members.set('$defs', { kind: 'object', members: new Map(all) })
  }
  return plainOf(adaptedSchema({ kind: 'object', members }, draft <= 7))
}
