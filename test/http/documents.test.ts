import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'

const root = join(import.meta.dirname, '../..')

test('a server hands out the descriptions of its APIs; the image has them too', async (t) => {
  const server = await startServer(t)
  const image = readFileSync(join(root, 'Dockerfile'), 'utf8')
  const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const name of ['openapi.yaml', 'openapi-compat.yaml', 'asyncapi.yaml']) {
    const reply = await server.get(`/${name}`)
    assert.deepEqual([reply.status, reply.headers['content-type']], [200, 'text/yaml; charset=utf-8'])
    assert.equal(reply.text(), readFileSync(join(root, name), 'utf8'))
    assert.ok(files.includes(name))
    assert.match(image, new RegExp(`^COPY .*\\b${name}\\b`, 'm'))
  }
  assert.equal((await server.get('/package.json')).status, 404)
})
