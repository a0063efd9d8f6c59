// No input may give a 500 on the Schema Registry API, and every failure has its form (openapi-compat.yaml is the judge of
// that). Requests are made up, and made of good ones with something wrong in them; fast-check prints the seed of what fails.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SCHEMA_FORMATS } from '../../src/registry/schema-formats.ts'
import { startServer } from '../support/http.ts'
import { RegistryCalls, recordOf, V1_TYPE } from '../support/schema-registry.ts'

const RUNS = 500
/** What is left of the runs then is left out. */
const TIME_MS_MAX = 4_000
const limits = { numRuns: RUNS, interruptAfterTimeLimit: TIME_MS_MAX, markInterruptAsFailure: false }

const names = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    ':.c:a',
    ':.c:',
    ':.c',
    ':*:',
    ':.:',
    ':.__GLOBAL:',
    '__EMPTY',
    '%',
    '..',
    ':',
    'x'.repeat(1_100),
  ),
  fc.string(),
)
const versions = fc.oneof(fc.constantFrom('1', '2', 'latest', '-1', '0', '99999999999', 'x'), fc.string())
const ids = fc.oneof(fc.constantFrom('1', '2', '-1', '1e3', '2147483648', '9'.repeat(30)), fc.string())
const path = (...parts: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((each) => each.map((part) => `/${part}`).join(''))
const lit = fc.constant
const coded = (texts: fc.Arbitrary<string>) => texts.map(encodeURIComponent)
const paths = fc.oneof(
  path(fc.constantFrom('subjects', 'schemas', 'contexts', 'config', 'mode', 'compatibility', 'schemas/types')),
  path(lit('schemas/ids'), coded(ids)),
  path(lit('schemas/ids'), coded(ids), fc.constantFrom('schema', 'subjects', 'versions')),
  path(lit('schemas/guids'), coded(names), fc.constantFrom('', 'ids')),
  path(fc.constantFrom('subjects', 'config', 'mode', 'contexts'), coded(names)),
  path(lit('subjects'), coded(names), fc.constantFrom('versions', 'metadata')),
  path(fc.constantFrom('subjects', 'compatibility/subjects'), coded(names), lit('versions'), coded(versions)),
  path(
    lit('subjects'),
    coded(names),
    lit('versions'),
    coded(versions),
    fc.constantFrom('schema', 'referencedby', 'tags'),
  ),
)
const inContext = fc
  .tuple(fc.constantFrom('', '', '/contexts/.c', '/contexts/x%3Ay'), paths)
  .map(([before, after]) => before + after)
const parameters = fc.constantFrom(
  'deleted',
  'permanent',
  'normalize',
  'verbose',
  'force',
  'format',
  'subject',
  'subjectPrefix',
  'offset',
  'limit',
  'key',
  'value',
  'recursive',
  'defaultToGlobal',
  'fetchMaxId',
  'findTags',
  'referenceFormat',
  'x',
)
const values = fc.oneof(
  fc.constantFrom('true', 'false', 'serialized', 'resolved', 'qualified', '1', '-1', ':*:', '*', 'a'),
  fc.string(),
)
const queries = fc.array(fc.tuple(parameters, values), { maxLength: 3 }).map((pairs) => {
  return pairs.length === 0 ? '' : `?${pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`
})

const MESSAGE = 'syntax = "proto3"; message M { string a = 1; map<string, M> m = 2; oneof o { int32 b = 3; M c = 4; } }'
const DESCRIPTOR = Buffer.from(SCHEMA_FORMATS.PROTOBUF.parse(MESSAGE, [], 'new').formatted('serialized'), 'base64')
/** A binary descriptor, with some of its bytes changed, or without its end. */
const descriptors = fc
  .tuple(fc.array(fc.tuple(fc.nat(DESCRIPTOR.length - 1), fc.nat(255)), { maxLength: 4 }), fc.nat(DESCRIPTOR.length))
  .map(([changes, missing]) => {
    const bytes = Buffer.from(DESCRIPTOR)
    for (const [at, byte] of changes) bytes[at] = byte
    return bytes.subarray(0, missing % 3 === 0 ? bytes.length - missing : undefined).toString('base64')
  })

const many = (count: number, part: (at: number) => string) => Array.from({ length: count }, (_, at) => part(at))
/** Of tens of thousands of characters, and of a million. */
const largeTexts = fc.constantFrom(
  recordOf('R', Object.fromEntries(many(1_000, (at) => `f${at}`).map((name) => [name, ['string', '']]))),
  `{"type":"object","properties":{${many(1_500, (at) => `"p${at}":{"type":"string"}`)}}}`,
  `syntax = "proto3"; message M { ${many(1_000, (at) => `string f${at} = ${at + 1};`).join(' ')} }`,
  `{"type":"enum","name":"E","symbols":["${'S'.repeat(2 ** 20)}"]}`,
)
const shortTexts = fc.constantFrom(
  recordOf('R', { a: 'int' }),
  recordOf('R', { a: ['string', ''] }),
  recordOf('R', { a: 'Item' }),
  '"int"',
  '{"type":"object","properties":{"a":{"$ref":"#/definitions/x"}}}',
  '{"$ref":"#"}',
  'true',
  'syntax = "proto3"; message M { string a = 1; }',
  'syntax = "proto3"; import "a"; message M { N a = 1; }',
  `${'['.repeat(5_000)}`,
)
const texts = fc.oneof(
  { weight: 40, arbitrary: shortTexts },
  { weight: 8, arbitrary: descriptors },
  { weight: 1, arbitrary: largeTexts },
)
const references = fc.array(
  fc.record({
    name: fc.constantFrom('Item', 'a', 'x'),
    subject: fc.constantFrom('a', ':.c:a', 'z'),
    version: fc.constantFrom(1, -1, 0, '2', 1e9),
  }),
  { maxLength: 3 },
)
const objects = fc.dictionary(
  fc.constantFrom('tags', 'properties', 'sensitive', 'domainRules', 'name', 'type', '__proto__'),
  fc.oneof(fc.jsonValue(), fc.constant({ a: 'b' }), fc.constant([{ name: 'r', type: 't' }])),
)
const requests = fc.record(
  {
    schema: fc.oneof(texts, texts, fc.string(), fc.jsonValue()),
    schemaType: fc.oneof(fc.constantFrom('AVRO', 'JSON', 'PROTOBUF', null), fc.jsonValue()),
    references: fc.oneof(references, fc.jsonValue()),
    metadata: fc.oneof(objects, fc.jsonValue()),
    ruleSet: fc.oneof(objects, fc.jsonValue()),
    version: fc.oneof(fc.constantFrom(0, -1, 1, 2), fc.jsonValue()),
    id: fc.oneof(fc.constantFrom(-1, 1, 5), fc.jsonValue()),
    compatibility: fc.oneof(fc.constantFrom('NONE', 'full', 'FORWARD_TRANSITIVE'), fc.jsonValue()),
    compatibilityGroup: fc.constantFrom('g', null),
    alias: fc.constantFrom('b', ':.c:b', '', null),
    normalize: fc.oneof(fc.boolean(), fc.jsonValue()),
    validateFields: fc.boolean(),
    defaultMetadata: objects,
    overrideRuleSet: fc.oneof(objects, fc.constant(null)),
    mode: fc.oneof(fc.constantFrom('READONLY', 'IMPORT', 'READWRITE', 'FORWARD', null), fc.jsonValue()),
    tagsToAdd: fc.oneof(
      fc.constant([{ schemaEntity: { entityPath: 'R.a', entityType: 'sr_field' }, tags: ['t'] }]),
      fc.jsonValue(),
    ),
    rulesToRemove: fc.jsonValue(),
    schemaTagsToAdd: fc.oneof(
      fc.constant([{ schemaEntity: { entityPath: 'R', entityType: 'sr_record' }, tags: ['t'] }]),
      fc.jsonValue(),
    ),
    propagateSchemaTags: fc.boolean(),
  },
  { requiredKeys: [] },
)
const schemaRequests = fc.record(
  { schema: texts, schemaType: fc.constantFrom('AVRO', 'JSON', 'PROTOBUF'), references, metadata: objects },
  { requiredKeys: ['schema'] },
)
const bodies = fc.oneof(
  schemaRequests.map((request) => JSON.stringify(request)),
  requests.map((request) => JSON.stringify(request)),
  fc.json(),
  fc.string(),
)
const methods = fc.constantFrom('GET', 'POST', 'POST', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH')
const types = fc.constantFrom(
  V1_TYPE,
  V1_TYPE,
  V1_TYPE,
  'application/json',
  'application/octet-stream',
  'text/plain',
  ';',
)
const accepts = fc.constantFrom('*/*', V1_TYPE, 'application/json', 'text/html', '*/*;q=0', ';;,,q=', 'a/b;q=x')

test('made up requests get an answer in form, and no 500', async (t) => {
  const server = await startServer(t)
  const requested = fc.record({
    method: methods,
    path: inContext,
    query: queries,
    type: types,
    accept: accepts,
    body: fc.option(bodies),
  })
  await fc.assert(
    fc.asyncProperty(requested, async ({ method, path: at, query, type, accept, body }) => {
      const headers = { accept, ...(body === null ? {} : { 'content-type': type }) }
      const reply = await server.request(method, at + query, body === null ? { headers } : { headers, body })
      assert.ok(reply.status < 500, `${method} ${at}${query} ${body} -> ${reply.text()}`)
    }),
    limits,
  )
  assert.equal((await server.get('/readyz')).json().status, 'ready')
  const calls = new RegistryCalls(server)
  await calls.read('/schemas?deleted=true')
  await calls.read('/config')
  assert.deepEqual(
    server.log.filter(({ level }) => level === 'error'),
    [],
  )
})
