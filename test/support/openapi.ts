// openapi.yaml and openapi-compat.yaml as judges: every reply that a test gets from the APIs that they describe is held
// against them: is its status documented for that operation, is its media type, does its body fit the schema.

import assert from 'node:assert/strict'
import type { ValidateFunction } from 'ajv'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { readYaml } from './yaml-file.ts'

export interface MediaType {
  readonly schema: { readonly $ref: string }
  readonly example?: unknown
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}

interface Reply {
  readonly $ref?: string
  readonly content?: Readonly<Record<string, MediaType>>
}

export interface Operation {
  readonly operationId: string
  readonly responses: Readonly<Record<string, Reply>>
  readonly requestBody?: { readonly content: Readonly<Record<string, MediaType>> }
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>
    readonly responses: Readonly<Record<string, Reply>>
  }
}

export interface ReplySeen {
  readonly method: string
  /** Path and query. */
  readonly url: string
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | number | undefined>>
  readonly body: Buffer
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'options']

/** One file. */
interface Description {
  readonly openApi: OpenApi
  /** Every operation with its method in upper case and its path as it stands in the file. */
  readonly operations: readonly { readonly method: string; readonly path: string; readonly operation: Operation }[]
  readonly validatorOf: (ref: string) => ValidateFunction
  /** An operation's path, or what is none, but its API's all the same. */
  readonly isOwnPath: (path: string) => boolean
  /** The name of the reply that is every failure's. */
  readonly failure: string
}

function describe(file: string, isOwnPath: Description['isOwnPath'], failure = 'Failure'): Description {
  const openApi = readYaml(file) as OpenApi
  const operations = Object.entries(openApi.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method]
      return operation === undefined || !isOwnPath(path) ? [] : [{ method: method.toUpperCase(), path, operation }]
    }),
  )
  let ajv: Ajv | undefined
  const validators = new Map<string, ValidateFunction>()
  const validatorOf = (ref: string) => {
    // most processes need the one file or the other
    ajv ??= validatorsOf(openApi)
    const validate = validators.get(ref) ?? ajv.compile({ $ref: `openapi${ref}` })
    validators.set(ref, validate)
    return validate
  }
  return { openApi, operations, validatorOf, isOwnPath, failure }
}

function validatorsOf(openApi: OpenApi): Ajv {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true })
  formats.default(ajv)
  ajv.addSchema(withoutBareNullable(openApi) as object, 'openapi')
  return ajv
}

export const schemaRegistry = describe(
  'openapi-compat.yaml',
  (path) =>
    /^\/(subjects|schemas|compatibility|config|mode|contexts|associations)\b|^\/v1\/metadata\/(id|version|deployment)\/?$/.test(
      path,
    ),
  'RegistryFailure',
)
const V1 = describe('openapi.yaml', (path) => /^\/(v1\/|livez$|readyz$|metrics$|[\w-]+\.yaml$)/.test(path))
export const restProxy = describe('openapi-compat.yaml', (path) => /^\/$|^\/(topics|consumers|brokers)\b/.test(path))

export const { openApi, operations } = V1

/** The operations that some reply of this process was checked for, as `operationId status`. */
export const seenReplies = new Set<string>()

/** Throws unless the reply is as its file says; paths that are described nowhere are let by. */
export function checkReply(reply: ReplySeen): void {
  const path = withoutContext(reply.url.split('?', 1)[0] ?? '')
  const about = `${reply.method} ${reply.url.slice(0, 200)} -> ${reply.status} ${reply.body.subarray(0, 500)}`
  const method = reply.method === 'HEAD' ? 'GET' : reply.method
  const description = [schemaRegistry, V1, restProxy].find((each) => each.isOwnPath(path))
  if (description === undefined) return
  const found = findOperation(description, method, path)
  assert.ok(reply.headers['x-request-id'], `an X-Request-Id comes with every reply: ${about}`)
  // 50002 is Kafka's own for what will not pass: records that the disk has damaged
  const isDamage = description === restProxy && reply.body.includes('"error_code":50002')
  assert.ok(reply.status !== 500 || isDamage, `no 500: ${about}`)
  if (reply.method === 'HEAD' || (reply.method === 'OPTIONS' && reply.status <= 204)) {
    assert.equal(reply.body.length, 0, about)
    return
  }
  // What no operation answers is a failure all the same.
  const described = resolve(description, responseOf(description, found?.operation, reply.status))
  assert.ok(described, `the status is documented: ${about}`)
  if (found !== undefined) seenReplies.add(`${found.operation.operationId} ${reply.status}`)
  // the REST Proxy's 406 has a body where it is a consumer's
  if (description === restProxy && reply.status === 406 && reply.body.length === 0) return
  checkBody(description, reply, described, about)
}

function checkBody(description: Description, reply: ReplySeen, described: Reply, about: string): void {
  const mediaType = String(reply.headers['content-type'] ?? '').split(';', 1)[0] ?? ''
  if (described.content === undefined) {
    assert.equal(reply.body.length, 0, `no body is documented: ${about}`)
    return
  }
  const content = described.content[mediaType]
  assert.ok(content, `the media type ${mediaType} is documented: ${about}`)
  if (!mediaType.endsWith('json') || mediaType === 'application/x-ndjson') return
  const value: unknown = JSON.parse(reply.body.toString())
  checkAgainst(content.schema.$ref, value, about, description)
  if (mediaType === 'application/problem+json') {
    const problem = value as { status: number; request_id: string }
    assert.equal(problem.status, reply.status, about)
    assert.equal(problem.request_id, reply.headers['x-request-id'], about)
  }
}

export function checkAgainst(ref: string, value: unknown, about: string, { validatorOf }: Description = V1): void {
  const validate = validatorOf(ref)
  const isValid = validate(value)
  assert.ok(isValid, `${JSON.stringify(validate.errors?.slice(0, 3))}: ${about}`)
}

/** A literal path goes before one with parameters. */
function findOperation(
  { operations }: Description,
  method: string,
  path: string,
): { readonly operation: Operation } | undefined {
  const plain = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
  return operations.find((candidate) => candidate.method === method && pattern(candidate.path).test(plain))
}

function pattern(path: string): RegExp {
  return new RegExp(`^${path.replace(/\{[^}]+\}/g, '[^/]+')}$`)
}

/** The Schema Registry has its paths a second time, below a context. */
function withoutContext(path: string): string {
  return path.replace(/^\/contexts\/[^/]+(?=\/.)/, '')
}

function responseOf(
  { openApi, failure }: Description,
  operation: Operation | undefined,
  status: number,
): Reply | undefined {
  if (operation === undefined) return openApi.components.responses[failure]
  const { responses } = operation
  return responses[String(status)] ?? (status >= 400 ? responses['default'] : undefined)
}

function resolve({ openApi }: Description, reply: Reply | undefined): Reply | undefined {
  if (reply?.$ref === undefined) return reply
  return openApi.components.responses[reply.$ref.replace('#/components/responses/', '')]
}

/** `{nullable: true}` without a type is OpenAPI's any value; the validator knows nullable beside a type only. */
function withoutBareNullable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBareNullable)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
    .filter(([name]) => !(name === 'nullable' && !('type' in value)))
    .map(([name, member]) => [name, withoutBareNullable(member)])
  return Object.fromEntries(entries)
}
