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

test('a bootstrap server is an HTTP address; where Kafka would be, Tailrace’s own port is meant', () => {
  const at = (bootstrapServer: string) => kafkaAddress({ bootstrapServer }, {})
  assert.deepEqual(at('host:8099'), { url: 'http://host:8099', notice: undefined })
  assert.deepEqual(at('one:8099,two:8099'), { url: 'http://one:8099', notice: undefined })
  const { url, notice } = at('localhost:9092')
  assert.equal(url, 'http://localhost:8082')
  assert.match(notice ?? '', /localhost:9092 .* http:\/\/localhost:8082/)
  assert.deepEqual(kafkaAddress({}, {}), { url: 'http://127.0.0.1:8082', notice: undefined })
})

test('--url and TAILRACE_URL go before a bootstrap server, and say so where that differs', () => {
  const env = { TAILRACE_URL: 'http://real:8082' }
  const { url, notice } = kafkaAddress({ bootstrapServer: 'localhost:9092' }, env)
  assert.equal(url, 'http://real:8082')
  assert.match(notice ?? '', /^TAILRACE_URL is http:\/\/real:8082/)
  assert.equal(kafkaAddress({ bootstrapServer: 'real:8082' }, env).notice, undefined)
  assert.equal(kafkaAddress({ url: 'http://flag:1', bootstrapServer: 'a:2' }, env).url, 'http://flag:1')
})
