// Sizes at the Schema Registry API: of a schema and the request that has it, and of what a list gives at once.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { REGISTRY_LIST_WAIT_MS_MAX, SCHEMA_TEXT_CHARS_MAX } from '../../src/kernel/limits.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startServer } from '../support/http.ts'
import { checkRefused, okay, RegistryCalls, recordOf, registryOfFile, V1_TYPE } from '../support/schema-registry.ts'

const given = registryOfFile()

const describing = (description: string) => JSON.stringify({ description })

/** A request whose every character is an escape of six bytes. */
function escaped(schema: string): string {
  const text = [...JSON.stringify(schema)].slice(1, -1).join('')
  const ascii = text.replace(/[^ -~]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return `{"schemaType":"JSON","schema":"${ascii}"}`
}

test('a schema of the longest text is taken, whatever its characters and however they are written', async () => {
  const { server } = given
  const room = SCHEMA_TEXT_CHARS_MAX - describing('').length
  const headers = { 'content-type': V1_TYPE }
  for (const body of [
    JSON.stringify({ schemaType: 'JSON', schema: describing('x'.repeat(room)) }),
    JSON.stringify({ schemaType: 'JSON', schema: describing('"'.repeat(Math.trunc(room / 2))) }),
    escaped(describing('語'.repeat(room))),
  ]) {
    okay(await server.post('/subjects/long/versions', body, headers))
  }
  const tooLong = { schemaType: 'JSON', schema: describing('x'.repeat(room + 1)) }
  checkRefused(await server.post('/subjects/long/versions', tooLong), 42209)
  checkRefused(await server.post('/subjects/long/versions', Buffer.alloc(7 * SCHEMA_TEXT_CHARS_MAX, ' '), headers), 413)
})

test('a list ends where it is long enough, and goes on behind that', async () => {
  const { calls } = given
  // twice as long as JSON of a list as in itself
  const schema = (at: number) => describing(`${at}${'"'.repeat(500_000)}`)
  const subjects = Array.from({ length: 10 }, (_, at) => `listed-${at}`)
  for (const [at, subject] of subjects.entries()) await calls.register(subject, schema(at), { schemaType: 'JSON' })
  const subjectsOf = (page: { subject: string }[]) => page.map(({ subject }) => subject)
  const first = subjectsOf(await calls.read('/schemas?subjectPrefix=listed'))
  assert.deepEqual(first, subjects.slice(0, 9))
  assert.deepEqual(subjectsOf(await calls.read('/schemas?subjectPrefix=listed&offset=9')), subjects.slice(9))
})

test('lists are made one after the other, and who waits too long for another is told so', async (t) => {
  const clock = new FakeClock()
  const server = await startServer(t, { clock })
  const calls = new RegistryCalls(server)
  for (let at = 0; at < 5; at++) await calls.register(`s-${at}`, recordOf('R', {}))
  // each look takes longer than the loop may be taken for, so that a list has as many turns as schemas
  let looks = 0
  t.mock.method(performance, 'now', () => {
    looks++
    if (looks === 3) clock.advance(REGISTRY_LIST_WAIT_MS_MAX)
    return looks * 1_000
  })
  const list = 'GET /schemas HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const replies = await server.raw(list + list, { endAfterReplies: 2 })
  assert.match(replies, /^HTTP\/1\.1 200 .*"subject":"s-4".*HTTP\/1\.1 503 .*there is no room for lists of schemas/s)
  const again = await server.raw(list + list, { endAfterReplies: 2 })
  assert.match(again, /^HTTP\/1\.1 200 .*HTTP\/1\.1 200 /s)
})

test('a binary descriptor has as many fields as a .proto file may have', async () => {
  const { calls } = given
  await calls.register('described', 'message A {}', { schemaType: 'PROTOBUF' })
  const descriptorOf = (fields: number) => {
    const field = Array.from({ length: fields }, (_, at) => {
      return { name: `f${at}`, number: at + 1, type: 11, label: 1, typeName: '.M.Inner' } as const
    })
    const messageType = [{ name: 'M', field, nestedType: [{ name: 'Inner' }] }]
    const file = create(FileDescriptorProtoSchema, { name: 'x', syntax: 'proto3', messageType })
    return Buffer.from(toBinary(FileDescriptorProtoSchema, file)).toString('base64')
  }
  const more = { schemaType: 'PROTOBUF' }
  checkRefused(await calls.lookup('described', descriptorOf(5_001), more), 42201, /at most 5000 fields/)
  checkRefused(await calls.lookup('described', descriptorOf(5_000), more), 40403)
})

test('without validation too, a new schema refers to what is not deleted alone', async () => {
  const { calls } = given
  await calls.register('gone', recordOf('Gone', {}))
  okay(await calls.delete('/subjects/gone/versions/1'))
  okay(await calls.put('/config/referring', { validateNewSchemas: false }))
  const body = {
    schema: recordOf('R', { gone: 'Gone' }),
    references: [{ name: 'Gone', subject: 'gone', version: 1 }],
  }
  checkRefused(await calls.post('/subjects/referring/versions', body), 42201, /No schema reference found/)
})

test('what is longer as it is stored than a schema may be is refused, though it came short', async () => {
  const { calls } = given
  const enums = Array.from({ length: 20_000 }, (_, at) => `A${at}=${at};`).join('')
  const nested = Array.from({ length: 30 }, (_, at) => `message M${at}{`).join('')
  const schema = `syntax="proto3";${nested}enum E{${enums}}${'}'.repeat(30)}`
  const body = { schema, schemaType: 'PROTOBUF' }
  checkRefused(await calls.post('/subjects/indented/versions', body), 42209)
})
