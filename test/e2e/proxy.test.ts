// Behind nginx as Debian ships it, with idle timeouts of ten seconds: event streams come through unbuffered, WebSockets
// upgrade, and both outlive a silence of 25 seconds, by their heart beats.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { EventClient } from '../support/event-client.ts'
import { freePort } from '../support/free-port.ts'
import { startServer } from '../support/http.ts'
import { findProgram } from '../support/program.ts'

const NGINX = findProgram('nginx')
const SILENCE_MS = 25_000

/** `/plain` has nothing but an address: nginx speaks HTTP/1.0 there, and would buffer. */
function configuration(directory: string, port: number, upstream: number): string {
  const place = (name: string) => join(directory, name)
  return `
daemon off;
worker_processes 1;
pid ${place('pid')};
error_log stderr warn;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path ${place('body')};
  proxy_temp_path ${place('proxy')};
  fastcgi_temp_path ${place('fastcgi')};
  uwsgi_temp_path ${place('uwsgi')};
  scgi_temp_path ${place('scgi')};
  gzip on;
  gzip_types text/event-stream application/json;
  gzip_proxied any;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen 127.0.0.1:${port};
    proxy_read_timeout 10s;
    proxy_send_timeout 10s;
    send_timeout 10s;
    location / {
      proxy_pass http://127.0.0.1:${upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
    location /plain/ { proxy_pass http://127.0.0.1:${upstream}/; }
  }
}
`
}

async function startNginx(t: { after(cleanUp: () => Promise<void>): void }, upstream: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-nginx-'))
  const port = await freePort()
  const file = join(directory, 'nginx.conf')
  writeFileSync(file, configuration(directory, port, upstream))
  const nginx = spawn(NGINX as string, ['-p', directory, '-c', file, '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  nginx.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  const exit = once(nginx, 'exit')
  t.after(async () => {
    nginx.kill('SIGTERM')
    await exit
    rmSync(directory, { recursive: true, force: true })
  })
  while (!(await answers(port))) {
    assert.equal(nginx.exitCode, null, log)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return port
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true))
    socket.on('connect', () => socket.destroy())
    socket.on('error', () => resolve(false))
  })
}

const skip = NGINX === undefined ? 'there is no nginx' : false

test(`through nginx${skip ? ` (skipped: ${skip})` : ''}`, { skip, timeout: 60_000 }, async (t) => {
  const server = await startServer(t)
  const port = await startNginx(t, server.port)
  const produce = async (value: string) => {
    const reply = await server.post('/v1/topics/orders/records', { records: [{ value }] })
    assert.equal(reply.status, 200)
  }
  await produce('first')
  const path = '/v1/topics/orders/events?from=earliest'
  const streams = await Promise.all([
    EventClient.open({ port }, path, { 'accept-encoding': 'gzip' }),
    EventClient.open({ port }, `/plain${path}`),
  ])
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, 'events.v1.json')
  const frames: string[] = []
  let onFrame = () => {}
  socket.on('message', (data) => {
    frames.push(String(data))
    onFrame()
  })
  const frameWith = async (text: string) => {
    while (!frames.some((frame) => frame.includes(text))) {
      await new Promise<void>((resolve) => {
        onFrame = resolve
      })
    }
  }
  t.after(() => {
    for (const stream of streams) stream.close()
    socket.terminate()
  })
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'subscribe', id: 1, sub: 'a', topics: ['orders'], from: 'earliest' }))
  const told = async (value: string) => {
    for (const stream of streams) assert.deepEqual((await stream.records(1))[0]!.data.value, value)
    await frameWith(`"value":"${value}"`)
  }
  await told('first')
  assert.equal(streams[0]?.headers['content-encoding'], 'gzip', 'compressed on the way, and not held up by it')
  await produce('second')
  await told('second')
  await new Promise((resolve) => setTimeout(resolve, SILENCE_MS))
  for (const stream of streams) assert.ok(stream.comments.length >= 4, stream.text)
  await produce('behind the silence')
  await told('behind the silence')
})
