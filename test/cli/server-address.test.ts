import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kafkaAddress, serverUrl } from '../../src/cli/server-address.ts'

test('the server is --url, else TAILRACE_URL, else this machine', () => {
  const env = { TAILRACE_URL: 'http://env:1' }
  assert.equal(serverUrl('http://flag:2/', env), 'http://flag:2')
  assert.equal(serverUrl(undefined, env), 'http://env:1')
  assert.equal(serverUrl(undefined, {}), 'http://127.0.0.1:8082')
  assert.equal(serverUrl(undefined, { TAILRACE_URL: '' }), 'http://127.0.0.1:8082')
})

test('a host and port is enough, and a path in front of the API is kept', () => {
  assert.equal(serverUrl('localhost:9000', {}), 'http://localhost:9000')
  assert.equal(serverUrl('https://example.org/streams/', {}), 'https://example.org/streams')
  assert.equal(serverUrl('localhost', {}), 'http://localhost:8082')
  assert.equal(serverUrl('http://localhost', {}), 'http://localhost')
  assert.equal(serverUrl('localhost:80', {}), 'http://localhost')
  assert.equal(serverUrl('[::1]', {}), 'http://[::1]:8082')
  for (const bad of ['ftp://host', 'http://', ':::', 'http://user:secret@host']) {
    assert.throws(() => serverUrl(bad, {}), { name: 'CommandFailure', exitCode: 2 })
  }
})

test('a bootstrap server is an HTTP address; behind Kafka’s port Tailrace is looked for, then behind its own', () => {
  const at = (bootstrapServer: string) => kafkaAddress({ bootstrapServer }, {})
  assert.deepEqual(at('host:8099'), { url: 'http://host:8099', notice: undefined })
  assert.deepEqual(at('one:8099,two:8099'), { url: 'http://one:8099', notice: undefined })
  const { url, notice, otherwise } = at('localhost:9092')
  assert.deepEqual({ url, notice }, { url: 'http://localhost:9092', notice: undefined })
  assert.equal(otherwise?.url, 'http://localhost:8082')
  assert.match(otherwise.notice, /localhost:9092 .* http:\/\/localhost:8082/)
  assert.deepEqual(kafkaAddress({}, {}), { url: 'http://127.0.0.1:8082', notice: undefined })
})

test('--url goes before a bootstrap server, and says so where that differs', () => {
  const { url, notice } = kafkaAddress({ url: 'http://flag:1', bootstrapServer: 'a:2' }, {})
  assert.equal(url, 'http://flag:1')
  assert.match(notice ?? '', /^--url is http:\/\/flag:1: used in place of a:2$/)
  assert.equal(kafkaAddress({ url: 'http://127.0.0.1:2/', bootstrapServer: 'localhost:2' }, {}).notice, undefined)
})

test('a bootstrap server goes before TAILRACE_URL, except the one that stands in every example', () => {
  const env = { TAILRACE_URL: 'http://real:8082' }
  for (const bootstrapServer of ['other:8082', 'other:9092', 'localhost:8082']) {
    const { url, notice } = kafkaAddress({ bootstrapServer }, env)
    assert.deepEqual({ url, notice }, { url: `http://${bootstrapServer}`, notice: undefined })
  }
  assert.equal(kafkaAddress({ bootstrapServer: 'other:9092' }, env).otherwise?.url, 'http://other:8082')
  assert.deepEqual(kafkaAddress({ bootstrapServer: 'localhost:9092' }, env), {
    url: 'http://real:8082',
    notice: 'TAILRACE_URL is http://real:8082: used in place of localhost:9092',
  })
  const same = kafkaAddress({ bootstrapServer: 'localhost:9092' }, { TAILRACE_URL: 'http://127.0.0.1:9092' })
  assert.deepEqual(same, { url: 'http://127.0.0.1:9092', notice: undefined })
})
