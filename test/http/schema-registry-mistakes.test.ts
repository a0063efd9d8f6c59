// The mistakes that registries make: each test names the rule that is easily broken. (Those of the formats themselves are in
// test/registry, those of frames in test/codec.)

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkRefused, okay, recordOf, registryOfFile, V1_TYPE } from '../support/schema-registry.ts'

const A = recordOf('R', { a: 'int' })
/** May follow A. */
const AB = recordOf('R', { a: 'int', b: ['string', ''] })
const ABC = recordOf('R', { a: 'int', b: ['string', ''], c: ['string', ''] })
const OTHER = recordOf('R', { a: 'string' })

const given = registryOfFile()

let count = 0
const subject = () => `s${++count}-value`

test('GET /config of a subject without one is 404, not the level of all', async () => {
  const { calls } = given
  const s = subject()
  checkRefused(
    await calls.get(`/config/${s}`),
    40408,
    `Subject '${s}' does not have subject-level compatibility configured`,
  )
  assert.deepEqual(await calls.read(`/config/${s}?defaultToGlobal=true`), { compatibilityLevel: 'BACKWARD' })
})

test('PUT /config takes and gives compatibility, GET and DELETE give compatibilityLevel', async () => {
  const { calls } = given
  const s = subject()
  assert.deepEqual(okay(await calls.put(`/config/${s}`, { compatibility: 'FULL' })), { compatibility: 'FULL' })
  assert.deepEqual(await calls.read(`/config/${s}`), { compatibilityLevel: 'FULL' })
  assert.deepEqual(okay(await calls.put(`/config/${s}`, { compatibilityLevel: 'NONE' })), { compatibility: 'NONE' })
  assert.deepEqual(okay(await calls.delete(`/config/${s}`)), { compatibilityLevel: 'NONE' })
})

test('DELETE /config of a subject without one is 40401, not 40408', async () => {
  const s = subject()
  checkRefused(await given.calls.delete(`/config/${s}`), 40401, `Subject '${s}' not found.`)
})

test('latest is the newest that is not deleted, to delete it as well', async () => {
  const { calls } = given
  const s = subject()
  for (const schema of [A, AB, ABC]) await calls.register(s, schema)
  assert.equal(okay(await calls.delete(`/subjects/${s}/versions/3`)), 3)
  assert.equal((await calls.read(`/subjects/${s}/versions/latest`)).version, 2)
  assert.equal((await calls.read(`/subjects/${s}/versions/latest?deleted=true`)).version, 2)
  assert.equal(okay(await calls.delete(`/subjects/${s}/versions/latest`)), 2)
  assert.deepEqual(await calls.read(`/subjects/${s}/versions`), [1])
  assert.equal(okay(await calls.delete(`/subjects/${s}/versions/-1`)), 1)
  checkRefused(await calls.get(`/subjects/${s}/versions/latest`), 40401)
  checkRefused(await calls.get(`/subjects/${s}/versions/latest?deleted=true`), 40402, 'Version -1 not found.')
})

test('a number is not used again after a soft deletion, and numbers begin anew after everything was deleted for good', async () => {
  const { calls } = given
  const s = subject()
  const [first, second, third] = [AB, ABC, A].map((schema) => schema.replace('"R"', '"Once"')) as [
    string,
    string,
    string,
  ]
  await calls.register(s, first)
  const { id } = await calls.register(s, second)
  okay(await calls.delete(`/subjects/${s}/versions/2`))
  assert.equal((await calls.register(s, third)).version, 3)
  assert.equal((await calls.read(`/schemas/ids/${id}`)).schema, second, 'its id can still be read')
  assert.deepEqual(okay(await calls.delete(`/subjects/${s}`)), [1, 3])
  assert.deepEqual(okay(await calls.delete(`/subjects/${s}?permanent=true`)), [1, 2, 3])
  checkRefused(await calls.get(`/schemas/ids/${id}`), 40403, `Schema ${id} not found`)
  const again = await calls.register(s, first)
  assert.equal(again.version, 1)
  assert.ok(again.id > id, 'ids never go back')
})

test('the number of the newest is used again when that alone was deleted for good', async () => {
  const { calls } = given
  const s = subject()
  await calls.register(s, A)
  await calls.register(s, AB)
  okay(await calls.delete(`/subjects/${s}/versions/2`))
  okay(await calls.delete(`/subjects/${s}/versions/2?permanent=true`))
  assert.equal((await calls.register(s, ABC)).version, 2)
})

test('a schema that was soft-deleted comes back under its id and a new number', async () => {
  const { calls } = given
  const s = subject()
  const first = await calls.register(s, A)
  okay(await calls.delete(`/subjects/${s}/versions/1`))
  const again = await calls.register(s, A)
  assert.deepEqual([again.id, again.version], [first.id, 2])
  assert.deepEqual(await calls.read(`/subjects/${s}/versions?deleted=true`), [2], 'the deleted one is gone for good')
})

test('what is registered after a subject was soft-deleted need not follow what was there', async () => {
  const { calls } = given
  const s = subject()
  await calls.register(s, A)
  okay(await calls.delete(`/subjects/${s}`))
  assert.equal((await calls.register(s, OTHER)).version, 2)
})

test('the same schema in a second subject has the same id', async () => {
  const { calls } = given
  const [s, t] = [subject(), subject()]
  const first = await calls.register(s, AB)
  const second = await calls.register(t, ` ${AB} `)
  assert.deepEqual([second.id, second.guid, second.version], [first.id, first.guid, 1])
  assert.deepEqual((await calls.read(`/schemas/ids/${first.id}/subjects`)).includes(t), true)
  const places = await calls.read(`/schemas/ids/${first.id}/versions`)
  assert.ok(places.some((place: object) => JSON.stringify(place) === JSON.stringify({ subject: t, version: 1 })))
})

test('ids are of a context', async () => {
  const { calls } = given
  const first = await calls.register(':.ids:a', A)
  const second = await calls.register(':.ids:a', AB)
  assert.deepEqual([first.id, second.id], [1, 2])
  assert.equal((await calls.register(':.ids2:a', AB)).id, 1)
})

test('white space makes no other schema; the order of members does, but not in the same subject', async () => {
  const { calls } = given
  const [s, t] = [subject(), subject()]
  const text = '{"type":"record","name":"W","fields":[{"name":"a","type":"int","x":{"p":1,"q":2}}]}'
  const turned = '{"type":"record","name":"W","fields":[{"name":"a","type":"int","x":{"q":2,"p":1}}]}'
  const first = await calls.register(s, text)
  assert.equal((await calls.register(t, text.replaceAll(',', ' , '))).id, first.id)
  assert.equal((await calls.register(s, turned)).version, 1, 'it means the same')
  assert.notEqual((await calls.register(subject(), turned)).id, first.id, 'another text, another id')
})

test('of JSON Schema another order of members is another schema, in the same subject too', async () => {
  const { calls } = given
  const [s, type] = [subject(), { schemaType: 'JSON' }]
  const first = await calls.register(s, '{"type":"object","title":"x"}', type)
  const turned = await calls.register(s, '{"title":"x","type":"object"}', type)
  assert.deepEqual([turned.version, turned.id === first.id], [2, false])
  assert.equal((await calls.register(s, ' {"type": "object", "title": "x"} ', type)).version, 1)
  checkRefused(await calls.lookup(s, '{"type":"object","title":"x","a":1.0}', type), 40403)
})

test('references, metadata and rules are part of what a schema is', async () => {
  const { calls } = given
  const [s, item] = [subject(), subject()]
  okay(await calls.put(`/config/${s}`, { compatibility: 'NONE' }))
  await calls.register(item, recordOf('Item', { a: 'int' }))
  await calls.register(item, recordOf('Item', { a: 'int', b: ['int', 0] }))
  const order = recordOf('Order', { item: 'Item' })
  const of = (version: number) => ({ references: [{ name: 'Item', subject: item, version }] })
  const replies = [
    await calls.register(s, order, of(1)),
    await calls.register(s, order, of(2)),
    await calls.register(s, order, { ...of(2), metadata: { properties: { owner: 'x' } } }),
    await calls.register(s, order, { ...of(2), metadata: { properties: { owner: 'y' } } }),
    await calls.register(s, order, {
      ...of(2),
      ruleSet: { domainRules: [{ name: 'r', kind: 'CONDITION', mode: 'WRITE', type: 'CEL', expr: 'true' }] },
    }),
  ]
  assert.deepEqual(
    replies.map(({ version }) => version),
    [1, 2, 3, 4, 5],
  )
  assert.equal(new Set(replies.map(({ id }) => id)).size, 5)
})

test('a lookup minds references, and a default that does not fit is none of its business', async () => {
  const { calls } = given
  const [s, item] = [subject(), subject()]
  await calls.register(item, recordOf('Item', { a: 'int' }))
  await calls.register(item, recordOf('Item', { a: 'int', b: ['int', 0] }))
  const order = recordOf('Order', { item: 'Item' })
  await calls.register(s, order, { references: [{ name: 'Item', subject: item, version: 1 }] })
  okay(await calls.lookup(s, order, { references: [{ name: 'Item', subject: item, version: 1 }] }))
  checkRefused(await calls.lookup(s, order, { references: [{ name: 'Item', subject: item, version: 2 }] }), 40403)
  checkRefused(await calls.lookup(s, recordOf('Order', { a: ['int', 'no number'] })), 40403)
})

test('a lookup finds a schema whose references the client has written out', async () => {
  const { calls } = given
  const [s, item] = [subject(), subject()]
  await calls.register(item, recordOf('Item', { a: 'int' }))
  await calls.register(s, recordOf('Order', { item: 'Item' }), {
    references: [{ name: 'Item', subject: item, version: -1 }],
  })
  const whole = recordOf('Order', { item: JSON.parse(recordOf('Item', { a: 'int' })) })
  const found = okay(await calls.lookup(s, whole))
  assert.deepEqual(found.references, [{ name: 'Item', subject: item, version: 1 }], '-1 was stored as the number')
})

test('a lookup gives the newest match', async () => {
  const { calls } = given
  const s = subject()
  okay(await calls.put(`/config/${s}`, { compatibility: 'NONE' }))
  await calls.register(s, A)
  await calls.register(s, OTHER)
  okay(await calls.delete(`/subjects/${s}/versions/1`))
  await calls.register(s, A)
  assert.equal(okay(await calls.lookup(s, A, {}, '?deleted=true')).version, 3)
})

test('lookups: 40401 without any version, 40403 beside others, and deleted ones only when asked for', async () => {
  const { calls } = given
  const s = subject()
  checkRefused(await calls.lookup(s, A), 40401, `Subject '${s}' not found.`)
  await calls.register(s, A)
  checkRefused(await calls.lookup(s, AB), 40403, 'Schema not found')
  await calls.register(s, AB)
  okay(await calls.delete(`/subjects/${s}/versions/1`))
  checkRefused(await calls.lookup(s, A), 40403)
  assert.equal(okay(await calls.lookup(s, A, {}, '?deleted=True')).version, 1)
  okay(await calls.delete(`/subjects/${s}`))
  checkRefused(await calls.lookup(s, A), 40401)
})

test('compatibility: with latest of nothing all is compatible, a number that is not there is 40402', async () => {
  const { calls } = given
  const s = subject()
  const path = `/compatibility/subjects/${s}/versions`
  assert.deepEqual(okay(await calls.post(`${path}/latest`, { schema: A })), { is_compatible: true })
  assert.deepEqual(okay(await calls.post(`${path}/?verbose=true`, { schema: A })), {
    is_compatible: true,
    messages: [],
  })
  checkRefused(await calls.post(`${path}/1`, { schema: A }), 40402, 'Version 1 not found.')
  await calls.register(s, A)
  checkRefused(await calls.post(`${path}/2`, { schema: A }), 40402, 'Version 2 not found.')
  checkRefused(await calls.post(`${path}/0`, { schema: A }), 42202)
})

test('compatibility of what is no schema: 42201, with verbose 200 and why', async () => {
  const { calls } = given
  const s = subject()
  const path = `/compatibility/subjects/${s}/versions/latest`
  await calls.register(s, A)
  checkRefused(await calls.post(path, { schema: '{"type":"foo"}' }), 42201)
  const told = okay(await calls.post(`${path}?verbose=true`, { schema: '{"type":"foo"}' }))
  assert.equal(told.is_compatible, false)
  assert.equal(told.messages.length, 1)
  const other = okay(await calls.post(`${path}?verbose=true`, { schema: OTHER }))
  assert.equal(other.is_compatible, false)
  assert.match(other.messages[0], /errorType:'TYPE_MISMATCH'/)
  assert.match(other.messages.at(-1), /\{validateFields: 'false', compatibility: 'BACKWARD'\}/)
})

test('FORWARD has the old schema read the new, and transitive looks at all, the newest first', async () => {
  const { calls } = given
  const s = subject()
  okay(await calls.put(`/config/${s}`, { compatibility: 'forward' }))
  await calls.register(s, A)
  const noDefault = recordOf('R', { a: 'int', b: 'string' })
  assert.equal((await calls.register(s, noDefault)).version, 2, 'the old one passes over the new field')
  checkRefused(
    await calls.post(`/subjects/${s}/versions`, { schema: A }).then(async (reply) => {
      assert.equal(reply.status, 200, 'it is there already')
      return calls.post(`/subjects/${s}/versions`, { schema: recordOf('R', { b: 'string' }) })
    }),
    40901,
    /^Schema being registered is incompatible with an earlier schema for subject ".*", details: \[/,
  )
  const t = subject()
  okay(await calls.put(`/config/${t}`, { compatibility: 'NONE' }))
  for (const schema of [
    recordOf('R', {}),
    recordOf('R', { a: ['int', 0] }),
    recordOf('R', { a: ['int', 0], b: ['int', 0] }),
  ])
    await calls.register(t, schema)
  const next = { schema: recordOf('R', { a: 'int', b: ['int', 1], c: ['int', 0] }) }
  okay(await calls.put(`/config/${t}`, { compatibility: 'BACKWARD_TRANSITIVE' }))
  const told = okay(await calls.post(`/compatibility/subjects/${t}/versions?verbose=true`, next))
  assert.equal(told.is_compatible, false)
  assert.ok(told.messages.includes('{oldSchemaVersion: 1}'), told.messages.join())
  okay(await calls.delete(`/subjects/${t}/versions/1`))
  assert.deepEqual(okay(await calls.post(`/compatibility/subjects/${t}/versions`, next)), { is_compatible: true })
  const wrong = { schema: recordOf('R', { a: 'string', b: 'string' }) }
  const first = okay(await calls.post(`/compatibility/subjects/${t}/versions?verbose=true`, wrong))
  assert.ok(first.messages.includes('{oldSchemaVersion: 3}'))
  assert.ok(!first.messages.includes('{oldSchemaVersion: 2}'), 'it stops at the first')
})

test('what the comparison has no answer for is incompatible, and a valid schema', async () => {
  const { calls } = given
  const s = subject()
  await calls.register(s, recordOf('R', { a: 'int', b: 'int' }))
  const schema = '{"type":"record","name":"R","fields":[{"name":"c","type":"int","aliases":["a","b"]}]}'
  const told = okay(await calls.post(`/compatibility/subjects/${s}/versions/latest?verbose=true`, { schema }))
  assert.equal(told.is_compatible, false)
  assert.match(told.messages[0], /^Unexpected exception during compatibility check: Reader record field c matches/)
  checkRefused(await calls.post(`/subjects/${s}/versions`, { schema }), 40901, /Unexpected exception during/)
})

test('in proto3 two fields do not share their name in JSON', async () => {
  const { calls } = given
  const schema = 'syntax = "proto3"; message A { string a_b = 1; string aB = 2; }'
  checkRefused(
    await calls.post(`/subjects/${subject()}/versions`, { schema, schemaType: 'PROTOBUF' }),
    42201,
    /in JSON/,
  )
})

test('another type is incompatible, but under NONE', async () => {
  const { calls } = given
  const s = subject()
  await calls.register(s, A)
  const json = { schemaType: 'JSON', schema: '{"type":"object"}' }
  checkRefused(
    await calls.post(`/subjects/${s}/versions`, json),
    40901,
    /Incompatible because of different schema type/,
  )
  okay(await calls.put(`/config/${s}`, { compatibility: 'NONE' }))
  assert.equal(okay(await calls.post(`/subjects/${s}/versions`, json)).version, 2)
})

test('what is deleted twice, or for good before it was deleted, is told apart', async () => {
  const { calls } = given
  const s = subject()
  await calls.register(s, A)
  await calls.register(s, AB)
  const named = `Subject '${s}' Version 1`
  checkRefused(
    await calls.delete(`/subjects/${s}?permanent=true`),
    40405,
    `Subject '${s}' was not deleted first before being permanently deleted`,
  )
  checkRefused(
    await calls.delete(`/subjects/${s}/versions/1?permanent=true`),
    40407,
    `${named} was not deleted first before being permanently deleted`,
  )
  okay(await calls.delete(`/subjects/${s}/versions/1`))
  checkRefused(
    await calls.delete(`/subjects/${s}/versions/1`),
    40406,
    `${named} was soft deleted.Set permanent=true to delete permanently`,
  )
  assert.deepEqual(okay(await calls.delete(`/subjects/${s}`)), [2])
  checkRefused(
    await calls.delete(`/subjects/${s}`),
    40404,
    `Subject '${s}' was soft deleted.Set permanent=true to delete permanently`,
  )
  checkRefused(await calls.delete(`/subjects/${subject()}`), 40401)
  checkRefused(await calls.delete(`/subjects/${s}/versions/7`), 40402)
})

test('what is referred to cannot be deleted; what refers no more lets go', async () => {
  const { calls } = given
  const [item, s] = [subject(), subject()]
  await calls.register(item, recordOf('Item', { a: 'int' }))
  const order = await calls.register(s, recordOf('Order', { item: 'Item' }), {
    references: [{ name: 'Item', subject: item, version: 1 }],
  })
  const text = `One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=${item},version=1}. It is referred to by ${s} version 1.`
  checkRefused(await calls.delete(`/subjects/${item}`), 42206, text)
  checkRefused(await calls.delete(`/subjects/${item}/versions/1`), 42206, text)
  assert.deepEqual(await calls.read(`/subjects/${item}/versions/1/referencedby`), [order.id])
  okay(await calls.delete(`/subjects/${s}`))
  assert.deepEqual(await calls.read(`/subjects/${item}/versions/1/referencedby`), [])
  assert.deepEqual(await calls.read(`/subjects/${item}/versions/1/referencedby?deleted=true`), [order.id])
  okay(await calls.delete(`/subjects/${item}`))
  assert.deepEqual(await calls.read(`/subjects/${item}/versions/1/referencedby?deleted=true`), [order.id])
  checkRefused(
    await calls.delete(`/subjects/${item}?permanent=true`),
    42206,
    /by s\d+-value version 1 \(deleted, but not/,
  )
  okay(await calls.delete(`/subjects/${s}?permanent=true`))
  assert.deepEqual(okay(await calls.delete(`/subjects/${item}?permanent=true`)), [1])
})

test('deleting a version answers a bare number, a schema is a bare text; all JSON ends with a line', async () => {
  const { calls } = given
  const s = subject()
  const { id } = await calls.register(s, A)
  assert.equal((await calls.get(`/schemas/ids/${id}/schema`)).text(), A)
  const reply = await calls.get(`/subjects/${s}/versions/1/schema`)
  assert.equal(reply.text(), A)
  assert.equal(reply.headers['content-type'], V1_TYPE)
  for (const path of ['/subjects', `/schemas/ids/${id}`, '/config', '/subjects/nope/versions']) {
    assert.match((await calls.get(path)).text(), /[}\]]\n$/, path)
  }
  checkRefused(await calls.get('/schemas/ids/999999/schema'), 40403, 'Schema 999999 not found')
  assert.equal((await calls.delete(`/subjects/${s}/versions/1`)).text(), '1\n')
})

test('every failure has a number and a text, whoever found it', async () => {
  const { server, calls } = given
  const s = subject()
  const raw = (method: string, path: string, headers: Record<string, string> = {}, body?: string) =>
    server.request(method, path, { headers, ...(body === undefined ? {} : { body }) })
  checkRefused(await calls.get('/subjects/a/b/c/d'), 404, 'HTTP 404 Not Found')
  checkRefused(await calls.get('/schemas/ids/abc'), 404, 'HTTP 404 Not Found')
  checkRefused(await calls.get('/schemas?offset=x'), 404, 'HTTP 404 Not Found')
  checkRefused(await raw('PATCH', `/subjects/${s}`), 405, 'HTTP 405 Method Not Allowed')
  checkRefused(await raw('POST', `/subjects/${s}`, { 'content-type': 'text/plain' }, '{}'), 415)
  checkRefused(await raw('GET', '/subjects', { accept: 'text/html' }), 406)
  for (const body of ['[]', '"x"', 'null', '7', '{', '\xff']) {
    checkRefused(await raw('POST', `/subjects/${s}`, { 'content-type': V1_TYPE }, body), 400)
  }
  checkRefused(await raw('POST', `/subjects/${s}`, { 'content-type': V1_TYPE }, ''), 422)
  for (const body of [
    { schema: {} },
    { schema: 'x', references: {} },
    { schema: A, version: 'x' },
    { schema: A, id: 1.5 },
  ]) {
    checkRefused(await calls.post(`/subjects/${s}/versions`, body), 400)
  }
  checkRefused(await calls.post(`/subjects/${s}/versions`, { schema: `"${'x'.repeat(8 << 20)}"` }), 413)
  checkRefused(
    await calls.get('/associations/resources/-/t?resourceType=topic&associationType=value'),
    404,
    'HTTP 404 Not Found',
  )
})

test('a version that is none is 42202 and told as it was given', async () => {
  const { calls } = given
  const s = subject()
  await calls.register(s, A)
  for (const text of ['0', '-2', 'abc', '2147483648', '1.5', 'lat']) {
    const message = `The specified version '${text}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string "latest"`
    checkRefused(await calls.get(`/subjects/${s}/versions/${text}`), 42202, message)
    checkRefused(await calls.delete(`/subjects/${s}/versions/${text}`), 42202, message)
  }
  for (const text of ['LATEST', '%20latest%20', '-1', '1']) {
    assert.equal((await calls.read(`/subjects/${s}/versions/${text}`)).version, 1)
  }
  checkRefused(await calls.get(`/subjects/${s}/versions/2147483647`), 40402)
})

test('a name is decoded once, after routing', async () => {
  const { calls } = given
  for (const name of ['a/b', 'a%2Fb', 'a+b', 'a b', 'ä€😀', 'a?b#c', ':a', '%', 'a:b']) {
    await calls.register(name, A)
    const entity = await calls.read(`/subjects/${encodeURIComponent(name)}/versions/1`)
    assert.equal(entity.subject, name)
    assert.ok((await calls.read('/subjects')).includes(name), name)
  }
  okay(await calls.delete('/subjects/a+b'))
  checkRefused(await calls.get('/subjects/a+b/versions'), 40401)
})

test('names that no subject may have are 42208', async () => {
  const { calls } = given
  for (const name of ['__GLOBAL', '__EMPTY', ':.__GLOBAL:x', 'a\nb', ' ', ':.ctx:', 'x'.repeat(1_025)]) {
    const reply = await calls.post(`/subjects/${encodeURIComponent(name)}/versions`, { schema: A })
    checkRefused(reply, 42208, `The specified subject '${name.slice(0, 1_024)}' is not a valid.`)
  }
  checkRefused(await calls.put('/config/__EMPTY', { compatibility: 'FULL' }), 42208)
  checkRefused(await calls.put('/mode/__GLOBAL', { mode: 'READONLY' }), 42208)
})

test('clients end paths with a slash, double ampersands, write names as they are, and booleans as they like', async () => {
  const { server, calls } = given
  const s = subject()
  okay(
    await calls.post(`/subjects/${s}/versions/?normalize=false&&force=`, {
      schema: A,
      metadata: { properties: { k: 'v' } },
    }),
  )
  const found = await calls.read(`/subjects/${s}/metadata?deleted=false&&key=k&value=v`)
  assert.equal(found.version, 1)
  checkRefused(await calls.get(`/subjects/${s}/metadata?key=k&value=w`), 40403)
  checkRefused(await calls.get(`/subjects/${subject()}/metadata?key=k&value=w`), 40401)
  assert.deepEqual(await calls.read(`/subjects/${s}/versions/?unknown=1`), [1])
  okay(await calls.put(`/config/${s}/`, { compatibility: 'full_Transitive' }))
  assert.deepEqual(await calls.read(`/config/${s}`), { compatibilityLevel: 'FULL_TRANSITIVE' })
  okay(await calls.delete(`/subjects/${s}?permanent=false`))
  assert.deepEqual(await calls.read(`/subjects/${s}/versions?deleted=True&deleted=false`), [1], 'the first counts')
  const bare = await server.request('GET', '/subjects')
  assert.equal(bare.headers['content-type'], V1_TYPE)
})
