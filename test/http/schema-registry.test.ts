// The Schema Registry API, endpoint by endpoint: parameters, media types, statuses, numbers and shapes.

import assert from 'node:assert/strict'
import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/engine-options.ts'
import { startServer } from '../support/http.ts'
import { checkRefused, okay, RegistryCalls, recordOf, registryOfFile, V1_TYPE } from '../support/schema-registry.ts'
import { ServerProcess } from '../support/server-process.ts'

const A = recordOf('R', { a: 'int' })
const AB = recordOf('R', { a: 'int', b: ['string', ''] })
const OTHER = recordOf('R', { a: 'string' })
const GENERIC_TYPE = 'application/vnd.schemaregistry+json'

const given = registryOfFile()

let count = 0
const subject = () => `s${++count}`

test('replies have the type that the client likes best, and the server’s choice where it likes several as much', async () => {
  const expected: readonly (readonly [accept: string | undefined, type: string])[] = [
    [undefined, V1_TYPE],
    ['*/*', V1_TYPE],
    ['application/*', V1_TYPE],
    ['application/json', 'application/json'],
    [GENERIC_TYPE, GENERIC_TYPE],
    ['application/json, text/plain, */*', V1_TYPE],
    ['application/json;q=0.9, application/vnd.schemaregistry+json;q=0.1', 'application/json'],
    ['application/vnd.schemaregistry.v1+json; qs=0.9, application/json; qs=0.5', V1_TYPE],
    ['nonsense', V1_TYPE],
    ['application/json;q=x', 'application/json'],
    ['text/plain, application/json;q=0.1', 'application/json'],
  ]
  for (const [accept, type] of expected) {
    const reply = await given.server.get('/subjects', accept === undefined ? {} : { accept })
    assert.deepEqual([reply.status, reply.headers['content-type']], [200, type], accept)
    const failed = await given.server.get('/subjects/none/versions', accept === undefined ? {} : { accept })
    assert.deepEqual([failed.status, failed.headers['content-type']], [404, type], accept)
  }
  for (const accept of ['text/html', 'application/json;q=0', 'text/*']) {
    const reply = await given.server.get('/subjects', { accept })
    checkRefused(reply, 406, /^HTTP 406 Not Acceptable: .*; there are application\/vnd\.schemaregistry\.v1\+json, /)
    assert.equal(reply.headers['content-type'], 'application/json')
  }
})

test('bodies are of four types, with any parameters; a type on a GET does no harm', async () => {
  const body = JSON.stringify({ schema: A })
  const types = [
    V1_TYPE,
    GENERIC_TYPE,
    'application/json; charset=utf-8',
    'Application/JSON',
    'application/octet-stream',
  ]
  for (const type of types) {
    const headers = { 'content-type': type, 'x-forward': 'true', 'confluent-accept-unknown-properties': 'true' }
    okay(await given.server.request('POST', `/subjects/${subject()}/versions`, { headers, body }))
    okay(await given.server.request('GET', '/subjects', { headers }))
  }
  const untyped = await given.server.raw(
    `POST /subjects/${subject()}/versions HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  )
  assert.match(untyped, /^HTTP\/1\.1 200 /)
  for (const type of ['text/plain', 'application/xml', 'application/vnd.kafka.v2+json']) {
    const reply = await given.server.request('POST', `/subjects/${subject()}/versions`, {
      headers: { 'content-type': type },
      body,
    })
    checkRefused(
      reply,
      415,
      /^HTTP 415 Unsupported Media Type: Content-Type "(?:text|app).*allowed are application\/vnd\.schemaregistry\.v1\+json, .*application\/json$/,
    )
  }
})

test('HEAD is taken wherever GET is, OPTIONS tells the methods, and a request has an id', async () => {
  const head = await given.server.request('HEAD', '/subjects')
  assert.deepEqual([head.status, head.body.length], [200, 0])
  const { id } = await given.calls.register(subject(), A)
  for (const path of [`/schemas/ids/${id}`, `/schemas/ids/${id}/schema`, '/config', '/contexts', '/v1/metadata/id']) {
    const { status, body } = await given.server.request('HEAD', path)
    assert.deepEqual([status, body.length], [200, 0], path)
    assert.equal((await given.server.get(`${path}/`)).status, 200, path)
  }
  assert.equal((await given.server.request('HEAD', '/schemas/ids/99999')).status, 404)
  const options = await given.server.request('OPTIONS', '/subjects/a')
  assert.equal(options.status, 204)
  assert.equal(options.headers['allow'], 'DELETE, OPTIONS, POST')
  const named = await given.server.get('/subjects', { 'x-request-id': 'mine' })
  assert.equal(named.headers['x-request-id'], 'mine')
})

test('what a registration answers, and a schema by number, by id and by guid', async () => {
  const { calls } = given
  const s = subject()
  const text = recordOf('Whole', { a: 'int' })
  const metadata = { tags: { a: ['PII'] }, properties: { owner: 'x' }, sensitive: ['owner'] }
  const ruleSet = {
    domainRules: [{ name: 'r', kind: 'CONDITION', mode: 'WRITE', type: 'CEL', expr: 'true', disabled: true }],
  }
  const reply = await calls.register(s, text, { metadata, ruleSet, unknown: 1 })
  const { id, guid, ts } = reply
  assert.deepEqual(reply, { id, version: 1, guid, schemaType: 'AVRO', metadata, ruleSet, schema: text, ts })
  assert.match(guid, /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
  assert.ok(Math.abs(ts - Date.now()) < 60_000)
  const content = { guid, schemaType: 'AVRO', metadata, ruleSet, schema: text, ts }
  assert.deepEqual(await calls.read(`/subjects/${s}/versions/1`), { subject: s, version: 1, id, ...content })
  assert.deepEqual(okay(await calls.lookup(s, text)), { subject: s, version: 1, id, ...content })
  assert.deepEqual(await calls.read(`/schemas/ids/${id}`), content)
  assert.deepEqual(await calls.read(`/schemas/ids/${id}?subject=${s}`), { subject: s, version: 1, ...content })
  assert.deepEqual(await calls.read(`/schemas/ids/${id}?subject=never-heard-of`).then(({ guid: of }) => of), guid)
  assert.equal((await calls.read(`/schemas/ids/${id}?fetchMaxId=true`)).maxId >= id, true)
  assert.deepEqual(await calls.read(`/schemas/guids/${guid}`), content)
  assert.deepEqual(await calls.read(`/schemas/guids/${guid.replaceAll('-', '').toUpperCase()}`), content)
  assert.deepEqual(await calls.read(`/schemas/guids/${guid}/ids`), [{ context: '.', id }])
  assert.deepEqual(await calls.read(`/schemas/guids/${guid.replace(/^./, guid[0] === '0' ? '1' : '0')}/ids`), [])
  checkRefused(await calls.get('/schemas/guids/x'), 40403, 'Schema x not found')
  checkRefused(await calls.get('/schemas/ids/99999'), 40403, 'Schema 99999 not found')
  checkRefused(await calls.get('/schemas/ids/99999/versions'), 40403, 'Schema not found')
  checkRefused(await calls.get('/schemas/ids/99999/subjects'), 40403, 'Schema not found')
  okay(await calls.delete(`/subjects/${s}`))
  assert.deepEqual(await calls.read(`/subjects/${s}/versions/1?deleted=true`), {
    subject: s,
    version: 1,
    id,
    ...content,
    deleted: true,
  })
  assert.deepEqual(await calls.read(`/schemas/ids/${id}/subjects`), [])
  assert.deepEqual(await calls.read(`/schemas/ids/${id}/subjects?deleted=true`), [s])
  assert.deepEqual(await calls.read(`/schemas/ids/${id}/versions?deleted=true`), [{ subject: s, version: 1 }])
})

test('lists: prefixes, deleted ones, slices', async () => {
  const { calls } = given
  for (const name of ['list-c', 'list-a', 'list-b']) await calls.register(name, A)
  await calls.register('list-a', AB)
  await calls.register(':.lists:list-d', A)
  okay(await calls.delete('/subjects/list-b'))
  assert.deepEqual(await calls.read('/subjects?subjectPrefix=list-'), ['list-a', 'list-c'])
  assert.deepEqual(await calls.read('/subjects?subjectPrefix=list-&deleted=true'), ['list-a', 'list-b', 'list-c'])
  assert.deepEqual(await calls.read('/subjects?subjectPrefix=list-&deleted=true&deletedOnly=true'), ['list-b'])
  assert.deepEqual(await calls.read('/subjects?subjectPrefix=:*:list-'), [':.lists:list-d', 'list-a', 'list-c'])
  assert.deepEqual(await calls.read('/subjects?subjectPrefix=:.lists:'), [':.lists:list-d'])
  assert.ok((await calls.read('/subjects')).includes(':.lists:list-d'))
  assert.deepEqual(await calls.read('/subjects?subjectPrefix=list-&offset=1&limit=5'), ['list-c'])
  assert.deepEqual(await calls.read('/subjects?subjectPrefix=list-&offset=-1&limit=0'), ['list-a', 'list-c'])
  okay(await calls.delete('/subjects/list-a/versions/1'))
  assert.deepEqual(await calls.read('/subjects/list-a/versions?deleted=true'), [1, 2])
  assert.deepEqual(await calls.read('/subjects/list-a/versions?deletedOnly=true'), [1])
  assert.deepEqual(await calls.read('/subjects/list-a/versions?deleted=true&deletedAsNegative=true'), [-1, 2])
  const named = async (query: string) =>
    (await calls.read(`/schemas?${query}`)).map(
      (one: { subject: string; version: number }) => `${one.subject} ${one.version}`,
    )
  assert.deepEqual(await named('subjectPrefix=list-'), ['list-a 2', 'list-c 1'])
  assert.deepEqual(await named('subjectPrefix=list-&deleted=true'), ['list-a 1', 'list-a 2', 'list-b 1', 'list-c 1'])
  assert.deepEqual(await named('subjectPrefix=list-&deleted=true&latestOnly=true&limit=1&offset=1'), ['list-b 1'])
  const rule = { name: 'r', kind: 'CONDITION', mode: 'WRITE', type: 'CEL', expr: 'true' }
  await calls.register('ruled-a', A)
  okay(await calls.post('/subjects/ruled-b/versions', { schema: A, ruleSet: { domainRules: [rule] } }))
  assert.deepEqual(await named('subjectPrefix=ruled-&ruleType=CEL'), ['ruled-b 1'])
  assert.deepEqual(await named('subjectPrefix=ruled-&ruleType=ENCRYPT'), [])
  okay(await calls.put('/config/list-alias', { alias: 'list-c' }))
  const aliased = await calls.read('/schemas?subjectPrefix=list-&aliases=true')
  assert.deepEqual(
    aliased.map((one: { aliases?: string[] }) => one.aliases),
    [undefined, ['list-alias']],
  )
  assert.deepEqual(new Set(await calls.read('/schemas/types')), new Set(['JSON', 'PROTOBUF', 'AVRO']))
})

test('settings merge: what is absent stays, null clears, and GET fills in the level', async () => {
  const { calls } = given
  const s = subject()
  assert.deepEqual(okay(await calls.put(`/config/${s}`, { normalize: true })), { normalize: true })
  assert.deepEqual(await calls.read(`/config/${s}`), { normalize: true, compatibilityLevel: 'BACKWARD' })
  assert.deepEqual(okay(await calls.put(`/config/${s}`, { compatibility: 'none', compatibilityPolicy: 'lenient' })), {
    normalize: true,
    compatibility: 'NONE',
    compatibilityPolicy: 'LENIENT',
  })
  assert.deepEqual(okay(await calls.put(`/config/${s}`, { normalize: null, compatibilityPolicy: null })), {
    compatibility: 'NONE',
  })
  for (const body of [{ compatibility: 'SIDEWAYS' }, { compatibility: 5 }]) {
    checkRefused(
      await calls.put(`/config/${s}`, body),
      42203,
      /^Invalid compatibility level\. Valid values are none, backward/,
    )
  }
  for (const body of [{ normalize: 'x' }, { alias: 5 }, { compatibilityPolicy: 'LAX' }, { defaultMetadata: [] }]) {
    checkRefused(await calls.put(`/config/${s}`, body), 400)
  }
  const rule = { name: 'r', type: 'CEL', kind: 'CONDITION' }
  checkRefused(
    await calls.put(`/config/${s}`, { defaultRuleSet: { domainRules: [rule, rule] } }),
    42210,
    "Found rule with duplicate name 'r'",
  )
  checkRefused(
    await calls.put(`/config/${s}`, { overrideRuleSet: { domainRules: [{ name: 'r' }] } }),
    42210,
    'Missing rule type',
  )
  assert.deepEqual(await calls.read(`/config/${s}`), { compatibilityLevel: 'NONE' })
})

test('the level of all is BACKWARD until it is set; a subject’s own settings do not inherit it', async (t) => {
  const server = await startServer(t)
  const calls = new RegistryCalls(server)
  assert.deepEqual(await calls.read('/config'), { compatibilityLevel: 'BACKWARD' })
  okay(await calls.put('/config', { compatibility: 'FULL', validateFields: true }))
  assert.deepEqual(await calls.read('/config/a?defaultToGlobal=true'), {
    validateFields: true,
    compatibilityLevel: 'FULL',
  })
  okay(await calls.put('/config/a', { normalize: true }))
  assert.deepEqual(await calls.read('/config/a?defaultToGlobal=true'), {
    normalize: true,
    validateFields: true,
    compatibilityLevel: 'BACKWARD',
  })
  okay(await calls.put(`/config/${encodeURIComponent(':.__GLOBAL:')}`, { compatibility: 'NONE' }))
  assert.deepEqual(await calls.read('/config/:.c:x?defaultToGlobal=true'), { compatibilityLevel: 'NONE' })
  okay(await calls.put('/contexts/.c/config', { compatibility: 'FORWARD' }))
  assert.deepEqual(await calls.read('/config/:.c:x?defaultToGlobal=true'), { compatibilityLevel: 'FORWARD' })
  assert.deepEqual(await calls.read('/config/:.c:'), { compatibilityLevel: 'FORWARD' })
  assert.deepEqual(okay(await calls.delete('/config')), { validateFields: true, compatibilityLevel: 'FULL' })
  assert.deepEqual(okay(await calls.delete('/config/a')), { normalize: true, compatibilityLevel: 'BACKWARD' })
})

test('modes: what each lets be done', async (t) => {
  const server = await startServer(t)
  const calls = new RegistryCalls(server)
  assert.deepEqual(await calls.read('/mode'), { mode: 'READWRITE' })
  checkRefused(await calls.get('/mode/a'), 40409, "Subject 'a' does not have subject-level mode configured")
  assert.deepEqual(await calls.read('/mode/a?defaultToGlobal=true'), { mode: 'READWRITE' })
  checkRefused(await calls.delete('/mode/a'), 40401)
  await calls.register('a', A)
  checkRefused(
    await calls.post('/subjects/a/versions', { schema: AB, id: 7 }),
    42205,
    'Subject a in context  is not in import mode',
  )
  checkRefused(await calls.put('/mode/a', { mode: 'import' }), 42205, 'Cannot import since found existing subjects')
  checkRefused(
    await calls.put('/mode/a', { mode: 'FOO' }),
    42204,
    'Invalid mode. Valid values are READWRITE, READONLY, IMPORT and FORWARD.',
  )
  checkRefused(await calls.put('/mode/a', { mode: 'FORWARD' }), 42204, 'Forward mode only supported on global level')

  for (const mode of ['READONLY', 'READONLY_OVERRIDE']) {
    assert.deepEqual(okay(await calls.put('/mode/a', { mode: mode.toLowerCase() })), { mode })
    const text = 'Subject a in context  is in read-only mode'
    checkRefused(await calls.post('/subjects/a/versions', { schema: AB }), 42205, text)
    checkRefused(await calls.delete('/subjects/a'), 42205, text)
    checkRefused(await calls.delete('/subjects/a/versions/1'), 42205, text)
    checkRefused(await calls.put('/config/a', { compatibility: 'NONE' }), 42205, text)
    checkRefused(await calls.delete('/config/a'), 42205, text)
    assert.equal((await calls.register('a', A)).version, 1, 'what is there already')
    okay(await calls.post('/compatibility/subjects/a/versions/latest', { schema: AB }))
  }
  assert.deepEqual(await calls.read('/mode/a'), { mode: 'READONLY_OVERRIDE' })
  assert.deepEqual(okay(await calls.delete('/mode/a')), { mode: 'READONLY_OVERRIDE' })
  okay(await calls.put('/mode/a', { mode: 'READONLY' }))
  assert.deepEqual(okay(await calls.put('/mode/a', { mode: null })), {})
  checkRefused(await calls.get('/mode/a'), 40409)

  okay(await calls.put('/mode/:.i:', { mode: 'IMPORT' }))
  checkRefused(
    await calls.post('/subjects/:.i:a/versions', { schema: A }),
    42205,
    'Subject a in context :.i: is not in read-write mode',
  )
  const imported = await calls.register(':.i:a', A, { id: 40, version: 7 })
  assert.deepEqual([imported.id, imported.version], [40, 7])
  assert.equal(
    (await calls.register(':.i:a', OTHER, { id: 41, version: 3 })).version,
    3,
    'compatible or not, in any order',
  )
  assert.equal((await calls.register(':.i:b', A, { id: 40 })).id, 40, 'the same content under the same id')
  const refused = await calls.post('/subjects/:.i:b/versions', { schema: AB, id: 40 })
  checkRefused(refused, 42205, 'Overwrite new schema with id 40 in context :.i: is not permitted.')
  assert.deepEqual(await calls.read('/subjects/:.i:a/versions'), [3, 7])
  okay(await calls.put('/mode/:.i:', { mode: 'READWRITE' }))
  assert.equal((await calls.register(':.i:c', recordOf('New', { a: 'int' }))).id, 42, 'ids go on above')

  okay(await calls.delete('/subjects/a'))
  okay(await calls.put('/mode/a', { mode: 'IMPORT' }))
  checkRefused(await calls.get('/subjects/a/versions?deleted=true'), 40401)
  okay(await calls.delete('/mode/a'))
  okay(await calls.put('/mode/:.i:a', { mode: 'READONLY' }))
  assert.deepEqual(okay(await calls.delete('/mode/:.i:?recursive=true')), { mode: 'READWRITE' })
  checkRefused(await calls.get('/mode/:.i:a'), 40409)
  assert.deepEqual(okay(await calls.delete('/mode/:.i:?recursive=true')), {})
})

test('contexts: a second way to call everything', async (t) => {
  const server = await startServer(t)
  const calls = new RegistryCalls(server)
  assert.deepEqual(await calls.read('/contexts'), ['.'])
  okay(await calls.post('/contexts/.dev/subjects/a/versions', { schema: A }))
  await calls.register(':.b:x', A)
  await calls.register('a', OTHER)
  assert.deepEqual(await calls.read('/contexts'), ['.', '.b', '.dev'])
  assert.deepEqual(await calls.read('/contexts?contextPrefix=.d'), ['.dev'])
  assert.deepEqual(await calls.read('/contexts/.dev/subjects'), [':.dev:a'])
  assert.deepEqual(await calls.read('/contexts/:.dev:/subjects/a/versions'), [1])
  assert.equal((await calls.read('/contexts/.dev/subjects/a/versions/latest')).subject, ':.dev:a')
  assert.equal(
    (await calls.read('/contexts/.dev/subjects/:.b:x/versions/1')).subject,
    ':.b:x',
    'what is qualified is left alone',
  )
  assert.equal((await calls.read('/contexts/.dev/schemas/ids/1')).schema, A)
  assert.equal((await calls.read('/schemas/ids/1')).schema, OTHER)
  assert.equal((await calls.read('/schemas/ids/1?subject=:.dev:')).schema, A)
  assert.equal((await calls.read('/contexts/.dev/schemas')).length, 1)
  assert.equal((await calls.read('/subjects/x/versions/1')).subject, ':.b:x', 'a read looks elsewhere')
  assert.equal(okay(await calls.lookup('x', A)).subject, ':.b:x')
  checkRefused(await calls.delete('/subjects/x'), 40401)
  checkRefused(await calls.delete('/subjects/x/versions/1'), 40401)
  checkRefused(await calls.get('/contexts/.a%3Ab/subjects'), 400)
  checkRefused(await calls.delete('/contexts/.dev'), 42211, "The specified context '.dev' is not empty.")
  okay(await calls.delete('/subjects/:.dev:a'))
  checkRefused(await calls.delete('/contexts/.dev'), 42211)
  okay(await calls.delete('/subjects/:.dev:a?permanent=true'))
  assert.deepEqual(await calls.read('/contexts'), ['.', '.b', '.dev'], 'it stays when it is empty')
  assert.equal((await calls.delete('/contexts/.dev')).status, 204)
  assert.deepEqual(await calls.read('/contexts'), ['.', '.b'])
  await calls.register(':.b:item', recordOf('Item', { a: 'int' }))
  await calls.register(':.b:order', recordOf('Order', { item: 'Item' }), {
    references: [{ name: 'Item', subject: 'item', version: 1 }],
  })
  checkRefused(await calls.delete('/subjects/:.b:item'), 42206)
  await calls.register('item', recordOf('Item', { a: 'string' }))
  await calls.register(':.b:other', recordOf('Other', { item: 'Item' }), {
    references: [{ name: 'Item', subject: ':.:item', version: 1 }],
  })
  checkRefused(await calls.delete('/subjects/item'), 42206)
  const { id, references } = await calls.read('/subjects/:.b:order/versions/1')
  assert.equal(references[0].subject, 'item')
  for (const path of ['/subjects/:.b:order/versions/1?', `/schemas/ids/${id}?subject=:.b:order&`]) {
    assert.equal((await calls.read(`${path}referenceFormat=qualified`)).references[0].subject, ':.b:item')
  }
})

test('an alias stands for its subject in every path but those of settings', async () => {
  const { calls } = given
  const [s, alias] = [subject(), subject()]
  const { id } = await calls.register(s, A)
  okay(await calls.put(`/config/${alias}`, { alias: s }))
  assert.equal((await calls.read(`/subjects/${alias}/versions/latest`)).subject, s)
  assert.equal((await calls.register(alias, AB)).version, 2)
  assert.equal((await calls.read(`/schemas/ids/${id}?subject=${alias}`)).subject, s)
  assert.deepEqual(okay(await calls.post(`/compatibility/subjects/${alias}/versions/latest`, { schema: OTHER })), {
    is_compatible: false,
  })
  checkRefused(await calls.get(`/config/${s}`), 40408)
  assert.ok(!(await calls.read('/subjects')).includes(alias))
  assert.deepEqual(okay(await calls.delete(`/subjects/${alias}`)), [1, 2])
})

test('a registration without a schema changes metadata; settings fill in', async () => {
  const { calls } = given
  const s = subject()
  checkRefused(
    await calls.post(`/subjects/${s}/versions`, { metadata: { properties: { a: '1' } } }),
    42201,
    /^Empty schema: the body has no member schema \(it has metadata\)/,
  )
  await calls.register(s, A)
  const second = okay(await calls.post(`/subjects/${s}/versions`, { metadata: { properties: { a: '1' } } }))
  assert.deepEqual([second.version, second.schema, second.metadata], [2, A, { properties: { a: '1' } }])
  const third = await calls.register(s, AB)
  assert.deepEqual(third.metadata, { properties: { a: '1' } }, 'those of the version before')
  assert.equal(okay(await calls.lookup(s, AB)).version, 3)
  okay(
    await calls.put(`/config/${s}`, {
      defaultMetadata: { properties: { a: '0', d: '0' } },
      overrideMetadata: { properties: { o: '9' } },
    }),
  )
  const filled = await calls.register(s, AB, { metadata: { properties: { a: '2' } } })
  assert.deepEqual(filled.metadata, { properties: { a: '2', d: '0', o: '9' } })
  const numbered = await calls.register(s, A, { version: -1 })
  assert.deepEqual([numbered.version, numbered.metadata.properties['confluent:version']], [5, '5'])
  checkRefused(
    await calls.post(`/subjects/${s}/versions`, { schema: recordOf('R', { z: ['int', 0] }), version: 9 }),
    42201,
    'Version is not one more than previous version',
  )
  checkRefused(
    await calls.post(`/subjects/${s}/versions`, { schema: A, ruleSet: { domainRules: [{ name: 'r' }] } }),
    42210,
    'Missing rule type',
  )
})

test('fields that are reserved: taken by a schema, or not reserved any more', async () => {
  const { calls } = given
  const s = subject()
  okay(await calls.put(`/config/${s}`, { validateFields: true }))
  const reserving = (names: string) => ({ metadata: { properties: { 'confluent:reserved': names } } })
  await calls.register(s, A, reserving('b, c'))
  const taken = await calls.post(`/subjects/${s}/versions`, { schema: AB, ...reserving('b,c') })
  checkRefused(taken, 40901, /The new schema has field that conflicts with the reserved field b\./)
  const next = { schema: recordOf('R', { a: 'int', d: ['int', 0] }), ...reserving('b') }
  checkRefused(
    await calls.post(`/subjects/${s}/versions`, next),
    40901,
    /The new schema has reserved field c removed from its metadata which is present in the old schema's metadata\./,
  )
  const tested = okay(await calls.post(`/compatibility/subjects/${s}/versions/latest`, next))
  assert.equal(tested.is_compatible, false)
  const t = subject()
  okay(await calls.put(`/config/${t}`, { validateFields: true }))
  const json = { schemaType: 'JSON', schema: '{"type":"object","properties":{"$$a":{}}}' }
  checkRefused(await calls.post(`/subjects/${t}/versions`, json), 42201, /Field names cannot start with \$\$ prefix/)
})

test('defaults that do not fit are taken where new schemas are not to be validated', async () => {
  const { calls } = given
  const s = subject()
  const wrong = recordOf('R', { a: ['int', 'no number'] })
  checkRefused(await calls.post(`/subjects/${s}/versions`, { schema: wrong }), 42201)
  okay(await calls.put(`/config/${s}`, { validateNewSchemas: false }))
  assert.equal((await calls.register(s, wrong)).version, 1)
})

test('a body nested a hundred thousand deep is refused like any other', async () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  const headers = { 'content-type': V1_TYPE }
  for (const body of [
    `{"schema":"\\"int\\"","ruleSet":{"domainRules":[{"name":"r","type":"t","params":{"p":${deep}}}]}}`,
    `{"schema":"\\"int\\"","references":[{"name":"n","x":${deep}}]}`,
    `{"schema":${deep}}`,
  ]) {
    const reply = await given.server.request('POST', `/subjects/${subject()}/versions`, { headers, body })
    assert.ok([400, 422].includes(reply.status), reply.text())
  }
})

test('of a compatibility group only those with the same value are compared', async () => {
  const { calls } = given
  const s = subject()
  okay(await calls.put(`/config/${s}`, { compatibilityGroup: 'major' }))
  const major = (value: string) => ({ metadata: { properties: { major: value } } })
  await calls.register(s, A, major('1'))
  assert.equal((await calls.register(s, OTHER, major('2'))).version, 2)
  assert.equal((await calls.register(s, AB, major('1'))).version, 3)
  checkRefused(await calls.post(`/subjects/${s}/versions`, { schema: A, ...major('2') }), 40901)
})

test('tags and rules of a version: a new version', async () => {
  const { calls } = given
  const s = subject()
  const text = '{"type":"record","name":"R","namespace":"a.b","fields":[{"name":"x","type":"int"}]}'
  await calls.register(s, text)
  const field = { entityPath: '.a.b.R.x', entityType: 'sr_field' }
  const tagged = okay(
    await calls.post(`/subjects/${s}/versions/latest/tags`, {
      tagsToAdd: [
        { schemaEntity: field, tags: ['PII', 'X'] },
        { schemaEntity: { entityPath: 'R', entityType: 'sr_record' }, tags: ['T'] },
      ],
      rulesToMerge: { domainRules: [{ name: 'r', type: 'CEL' }] },
    }),
  )
  assert.equal(tagged.version, 2)
  assert.deepEqual(JSON.parse(tagged.schema)['confluent:tags'], ['T'])
  assert.deepEqual(JSON.parse(tagged.schema).fields[0]['confluent:tags'], ['PII', 'X'])
  assert.equal(tagged.ruleSet.domainRules[0].name, 'r')
  const bare = okay(
    await calls.post(`/subjects/${s}/versions/2/tags`, {
      newVersion: 3,
      tagsToRemove: [{ schemaEntity: field, tags: ['X'] }],
      rulesToRemove: ['r'],
      metadata: { properties: { a: 'b' } },
    }),
  )
  assert.deepEqual(JSON.parse(bare.schema).fields[0]['confluent:tags'], ['PII'])
  assert.deepEqual([bare.version, bare.metadata.properties.a], [3, 'b'])
  const unknown = { tagsToAdd: [{ schemaEntity: { ...field, entityPath: 'R.y' }, tags: ['T'] }] }
  checkRefused(await calls.post(`/subjects/${s}/versions/1/tags`, unknown), 42201)
  checkRefused(await calls.post(`/subjects/${s}/versions/9/tags`, {}), 40402)
  const j = subject()
  await calls.register(j, '{"title":"O","type":"object","properties":{"p":{"type":"object","properties":{"q":{}}}}}', {
    schemaType: 'JSON',
  })
  const inner = { schemaEntity: { entityPath: 'O.p.q', entityType: 'sr_field' }, tags: ['T'] }
  const json = okay(await calls.post(`/subjects/${j}/versions/1/tags`, { tagsToAdd: [inner] }))
  assert.deepEqual(JSON.parse(json.schema).properties.p.properties.q, { 'confluent:tags': ['T'] })
})

test('a registration with tags, those of the version before too; findTags shows them', async () => {
  const { calls } = given
  const tag = (entityPath: string, entityType: string, ...tags: string[]) => ({
    schemaEntity: { entityPath, entityType },
    tags,
  })
  for (const [schemaType, text, more, name] of [
    ['AVRO', AB, recordOf('R', { a: 'int', c: ['long', 0] }), 'R'],
    [
      'JSON',
      '{"type":"object","properties":{"a":{"type":"object","properties":{"x":{}}},"b":{}}}',
      '{"type":"object","properties":{"a":{"type":"object","properties":{"x":{}}},"c":{}}}',
      'object',
    ],
  ] as const) {
    const s = subject()
    const tags = [tag(`.${name}`, 'sr_record', 'T'), tag(`.${name}.a`, 'sr_field', 'PII', 'X')]
    const first = await calls.register(s, text, { schemaType, schemaTagsToAdd: tags })
    assert.equal((await calls.register(s, text, { schemaType, schemaTagsToAdd: tags })).version, 1)
    const at = `/subjects/${s}/versions/latest`
    assert.equal((await calls.read(at)).schemaTags, undefined)
    assert.deepEqual((await calls.read(`${at}?findTags=*`)).schemaTags, tags)
    assert.deepEqual((await calls.read(`${at}?findTags=no&findTags=X`)).schemaTags, tags.slice(1))
    assert.equal((await calls.read(`${at}?findTags=no`)).schemaTags, undefined)
    assert.deepEqual((await calls.read(`/schemas/ids/${first.id}?findTags=T`)).schemaTags, tags.slice(0, 1))
    okay(await calls.put(`/config/${s}`, { compatibility: 'NONE' }))
    const next = {
      schemaType,
      propagateSchemaTags: true,
      schemaTagsToAdd: [tag(`${name}.c`, 'sr_field', 'N')],
      schemaTagsToRemove: [tag(`${name}.a`, 'sr_field', 'X')],
    }
    await calls.register(s, more, next)
    const wanted = [tags[0], tag(`.${name}.a`, 'sr_field', 'PII'), tag(`.${name}.c`, 'sr_field', 'N')]
    assert.deepEqual((await calls.read(`${at}?findTags=*`)).schemaTags, wanted)
    const strange = { schemaType, schema: text, schemaTagsToAdd: [tag('.R.z', 'sr_field', 'N')] }
    checkRefused(await calls.post(`/subjects/${s}/versions`, strange), 42201)
    checkRefused(await calls.post(`/subjects/${s}/versions`, { ...strange, schema: '{' }), 42201)
    checkRefused(await calls.post(`/subjects/${s}/versions`, { ...strange, schemaTagsToAdd: 5 }), 400)
  }
})

test('taggings at once of the latest version: none is lost', async () => {
  const { calls } = given
  const s = subject()
  await calls.register(s, A)
  const names = ['P', 'Q', 'X', 'Y']
  const replies = await Promise.all(
    names.map((name) =>
      calls.post(`/subjects/${s}/versions/latest/tags`, {
        tagsToAdd: [{ schemaEntity: { entityPath: '.R', entityType: 'sr_record' }, tags: [name] }],
      }),
    ),
  )
  assert.deepEqual(replies.map((reply) => okay(reply).version).sort(), [2, 3, 4, 5])
  const { schema } = await calls.read(`/subjects/${s}/versions/latest`)
  assert.deepEqual(JSON.parse(schema)['confluent:tags'].sort(), names)
})

test('all three formats, their forms, and what is no schema', async () => {
  const { calls } = given
  const s = subject()
  const proto = 'syntax = "proto3";\npackage p;\n\nmessage M {\n  string a = 1;\n}\n'
  const { id, schema } = await calls.register(s, `${proto}// gone`, { schemaType: 'PROTOBUF' })
  assert.equal(schema, proto)
  const { schema: base64 } = await calls.read(`/schemas/ids/${id}?format=serialized`)
  assert.match(base64, /^[A-Za-z0-9+/]+=*$/)
  assert.equal(
    (await calls.register(s, base64, { schemaType: 'PROTOBUF' })).version,
    1,
    'as a descriptor it is the same',
  )
  const j = await calls.register(subject(), ' { "type" : "object", "x":1.0 } ', { schemaType: 'JSON' })
  assert.equal(j.schema, '{"type":"object","x":1.0}')
  const item = subject()
  await calls.register(item, recordOf('Item', { a: 'int' }))
  const order = await calls.register(subject(), recordOf('Order', { i: 'Item' }), {
    references: [{ name: 'Item', subject: item, version: 1 }],
  })
  assert.match((await calls.read(`/schemas/ids/${order.id}?format=resolved`)).schema, /"fields":\[\{"name":"a"/)
  assert.equal((await calls.get(`/schemas/ids/${order.id}/schema?format=unknown`)).text(), order.schema)
  const missing = {
    schema: recordOf('Order', { i: 'Item' }),
    references: [{ name: 'Item', subject: 'nowhere', version: 3 }],
  }
  checkRefused(
    await calls.post(`/subjects/${subject()}/versions`, missing),
    42201,
    /No schema reference found for subject "nowhere" and version 3/,
  )
  for (const [body, text] of [
    [{ schema: 'string' }, /^Invalid schema of type AVRO, details: Invalid schema \{subject=/],
    [{ schema: '{"type":"foo"}' }, /AVRO/],
    [
      { schema: '{"type":3}', schemaType: 'JSON' },
      /^Invalid schema of type JSON, details: #\/type: must match a schema/,
    ],
    [{ schema: recordOf('D', { a: ['int', 'x'] }) }, /details: Invalid default for field a of D: "x" is not an int$/],
    [{ schema: '{"pattern":"("}', schemaType: 'JSON' }, /is no regular expression: Unterminated group$/],
    [{ schema: 'message M { Foo a = 1; }', schemaType: 'PROTOBUF' }, /Could not resolve type/],
    [{ schema: A, schemaType: 'avro' }, /^Invalid schema type avro; allowed are AVRO, JSON, PROTOBUF$/],
    [{ schema: '  ' }, /^Empty schema$/],
    [
      JSON.parse(A),
      /^Empty schema: the body has no member schema \(it has type, name, fields\); a schema is sent as \{"schema": /,
    ],
    [{}, /^Empty schema: the body has no member schema \(it has none\)/],
    [
      { schema: '{"$ref":"http://127.0.0.1:1/x"}', schemaType: 'JSON' },
      /Remote schema reference fetching over HTTP\(S\) is disabled: http:\/\/127/,
    ],
    [
      { schema: A, references: [{ name: 'x' }] },
      /^Invalid reference: \{name=x, subject=null, version=null\}; .*missing: subject, version$/,
    ],
  ] as const) {
    checkRefused(await calls.post(`/subjects/${subject()}/versions`, body), 42201, text)
  }
})

test('references of Protobuf are imports, of JSON Schema what $ref says; those of others come along', async () => {
  const { calls } = given
  const [inner, middle, outer] = [subject(), subject(), subject()]
  const of = (name: string, to: string) => ({ references: [{ name, subject: to, version: 1 }] })
  const proto = { schemaType: 'PROTOBUF' }
  await calls.register(inner, 'syntax = "proto3"; package p; message In { int32 a = 1; }', proto)
  const importing = 'syntax = "proto3"; package p; import "in.proto"; message Mid { In a = 1; }'
  checkRefused(await calls.post(`/subjects/${middle}/versions`, { schema: importing, ...proto }), 42201)
  await calls.register(middle, importing, { ...proto, ...of('in.proto', inner) })
  const whole = 'syntax = "proto3"; package p; import "mid.proto"; message Out { Mid a = 1; }'
  const { id } = await calls.register(outer, whole, { ...proto, ...of('mid.proto', middle) })
  assert.deepEqual((await calls.read(`/schemas/ids/${id}`)).references, of('mid.proto', middle).references)
  assert.ok((await calls.read(`/schemas/ids/${id}?format=serialized`)).schema.length > 0)
  const changed = whole.replace('Mid a = 1', 'string a = 1')
  const tested = okay(
    await calls.post(`/compatibility/subjects/${outer}/versions/latest`, {
      schema: changed,
      ...proto,
      ...of('mid.proto', middle),
    }),
  )
  assert.equal(tested.is_compatible, false)

  const json = { schemaType: 'JSON' }
  const [item, order] = [subject(), subject()]
  await calls.register(item, '{"type":"object","properties":{"n":{"type":"integer"}}}', json)
  const referring = '{"type":"object","properties":{"i":{"$ref":"item.json"}}}'
  checkRefused(await calls.post(`/subjects/${order}/versions`, { schema: referring, ...json }), 42201)
  assert.equal((await calls.register(order, referring, { ...json, ...of('item.json', item) })).version, 1)
  checkRefused(await calls.delete(`/subjects/${item}`), 42206)
})

test('what clients ask of a registry as such', async () => {
  const { calls } = given
  const { scope } = await calls.read('/v1/metadata/id')
  assert.deepEqual(scope.path, [])
  assert.equal(scope.clusters['schema-registry-cluster'], 'schema-registry')
  assert.ok(scope.clusters['kafka-cluster'].length > 0)
  assert.equal((await calls.read('/v1/metadata/version')).version, '8.0.0')
  assert.deepEqual(await calls.read('/v1/metadata/deployment'), { attributes: [] })
})

test('with the profile of 7 replies are as they were', async (t) => {
  const calls = new RegistryCalls(await startServer(t, { set: { 'schema.registry.compat.profile': '7' } }))
  assert.deepEqual(await calls.register('a', A), { id: 1 })
  assert.deepEqual(await calls.register('a', A), { id: 1 })
  assert.deepEqual(await calls.read('/subjects/a/versions/1'), { subject: 'a', version: 1, id: 1, schema: A })
  assert.deepEqual(await calls.read('/schemas/ids/1'), { schema: A })
  await calls.register('j', '{}', { schemaType: 'JSON' })
  assert.deepEqual(await calls.read('/schemas/ids/2'), { schemaType: 'JSON', schema: '{}' })
  const refused = await calls.post('/subjects/a/versions', { schema: OTHER })
  checkRefused(refused, 409, /^Schema being registered is incompatible/)
  okay(await calls.put('/config/a', { defaultMetadata: { properties: { a: 'b' } } }))
  assert.deepEqual(await calls.register('a', AB), {
    id: 3,
    version: 2,
    metadata: { properties: { a: 'b' } },
    schema: AB,
  })
  assert.equal((await calls.read('/v1/metadata/version')).version, '7.9.0')
})

test('nothing is made until something is registered, and the topic can be deleted under way', async (t) => {
  const server = await startServer(t)
  const calls = new RegistryCalls(server)
  assert.deepEqual(await calls.read('/subjects'), [])
  assert.equal((await server.get('/v1/topics/_schemas')).status, 404)
  await calls.register('a', A)
  assert.equal((await server.get('/v1/topics/_schemas')).status, 200)
  assert.deepEqual((await server.get('/v1/topics')).json().items, [])
  assert.equal((await server.get('/readyz')).status, 200)
})

test('a topic of another registry is taken over, and written on in its own keys', async (t) => {
  const server = await startServer(t, { set: { 'allow.internal.topics': 'true' } })
  const calls = new RegistryCalls(server)
  const made = { name: '_schemas', partitions: 1, configs: { 'cleanup.policy': 'compact' } }
  assert.equal((await server.post('/v1/topics', made)).status, 201)
  const rows: readonly (readonly [string, unknown])[] = [
    ['{"keytype":"CONFIG","subject":null,"magic":0}', { compatibilityLevel: 'NONE' }],
    [
      '{"subject":"kp","version":1,"magic":1,"keytype":"SCHEMA"}',
      { subject: 'kp', version: 1, id: 10, schema: A, deleted: false, odd: 1 },
    ],
    ['poison', { a: 1 }],
    [
      '{"keytype":"SCHEMA","subject":"kp","version":2,"magic":1}',
      { subject: 'kp', version: 2, id: 10, schema: '"int"', deleted: false },
    ],
  ]
  const records = rows.map(([key, value]) => ({ key, value }))
  assert.equal((await server.post('/v1/topics/_schemas/records', { records })).status, 200)
  assert.equal((await calls.register('kp', OTHER)).id, 11)
  assert.deepEqual(await calls.read('/subjects/kp/versions'), [1, 2])
  assert.deepEqual(await calls.read('/config'), { compatibilityLevel: 'NONE' })
  okay(await calls.delete('/subjects/kp/versions/1'))
  okay(await calls.delete('/config'))
  const { records: all } = (await server.get('/v1/topics/_schemas/records?from=earliest')).json()
  const deletion = all.find((one: { key: string; value: { deleted?: boolean } | null }) => one.value?.deleted === true)
  assert.equal(deletion.key, rows[1]?.[0])
  assert.equal(deletion.value.odd, 1)
  assert.deepEqual([all.at(-1).key, all.at(-1).value], [rows[0]?.[0], null])
  assert.equal((await server.request('DELETE', '/v1/topics/_schemas')).status, 204)
  await server.get('/readyz')
  assert.deepEqual(await calls.read('/subjects'), [])
  assert.equal((await calls.register('new', A)).id, 1)
})

test('what cannot follow a schema of another registry, since that refers to an address, is incompatible with it', async (t) => {
  const server = await startServer(t, { set: { 'allow.internal.topics': 'true' } })
  const calls = new RegistryCalls(server)
  const schema = '{"$ref":"http://127.0.0.1:9/x.json"}'
  const value = { subject: 's', version: 1, id: 1, schemaType: 'JSON', schema, deleted: false }
  const records = [{ key: '{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}', value }]
  assert.equal((await server.post('/v1/topics/_schemas/records', { records })).status, 200)
  const next = { schemaType: 'JSON', schema: '{"type":"string"}' }
  const fault = 'A previous schema version contains an unsupported external reference'
  const tested = await calls.post('/compatibility/subjects/s/versions/latest?verbose=true', next)
  assert.deepEqual([okay(tested).is_compatible, tested.json().messages[0]], [false, fault])
  checkRefused(await calls.post('/subjects/s/versions', next), 40901, new RegExp(`details: \\[${fault}, `))
  okay(await calls.put('/config/s', { compatibility: 'NONE' }))
  assert.equal(okay(await calls.post('/subjects/s/versions', next)).version, 2)
})

test('records of another registry make the topic as a registration does, whatever the broker’s defaults are', async (t) => {
  const server = await startServer(t, { set: { 'allow.internal.topics': 'true', 'num.partitions': '3' } })
  const key = '{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}'
  const value = { subject: 's', version: 1, id: 1, schema: A, deleted: false }
  assert.equal((await server.post('/v1/topics/_schemas/records', { records: [{ key, value }] })).status, 200)
  const topic = (await server.get('/v1/topics/_schemas')).json()
  const policy = topic.configs.find(({ name }: { name: string }) => name === 'cleanup.policy')
  assert.deepEqual([topic.partitions.length, policy.value], [1, 'compact'])
  assert.deepEqual(await new RegistryCalls(server).read('/subjects/s/versions'), [1])
})

test('while the topic cannot be read the registry says when to come again, and the rest serves', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await ServerProcess.start({ dataDir })
  t.after(() => first.kill())
  const body = { schema: A }
  assert.equal((await first.request('POST', '/subjects/a/versions', { body })).status, 200)
  await first.kill()
  // what lies in its place can be opened by nobody
  const segment = join(dataDir, 'topics', '_schemas-0', '00000000000000000000.log')
  renameSync(segment, `${segment}.aside`)
  mkdirSync(segment)
  const server = await startServer(t, { dataDir })
  const calls = new RegistryCalls(server)
  for (const reply of [
    await calls.get('/subjects'),
    await calls.get('/schemas/ids/1'),
    await calls.get('/config'),
    await calls.get('/contexts'),
    await calls.post('/subjects/a/versions', body),
    await calls.put('/mode', { mode: 'READONLY' }),
  ]) {
    assert.deepEqual(
      [reply.status, reply.json().error_code, reply.headers['retry-after']],
      [503, 50001, '1'],
      reply.url,
    )
  }
  const ready = (await server.get('/readyz')).json()
  assert.equal(ready.status, 'degraded')
  assert.equal((await server.post('/v1/topics/t/records', { records: [{ value: 1 }] })).status, 200)
})

test('a topic in which schemas may be lost is told of', async (t) => {
  const server = await startServer(t, { set: { 'allow.internal.topics': 'true' } })
  const made = { name: '_schemas', partitions: 2, configs: { 'cleanup.policy': 'delete' } }
  assert.equal((await server.post('/v1/topics', made)).status, 201)
  await new RegistryCalls(server).register('a', A)
  const warnings = server.log.filter(({ level, message }) => level === 'warn' && message.includes('they may be lost'))
  assert.equal(warnings.length, 1)
})
