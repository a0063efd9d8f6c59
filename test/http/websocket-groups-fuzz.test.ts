// Whatever clients ask of groups and work queues, in whatever order: each command is answered, none by a failure of the
// server's own, and those that behave are served all the same.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'
import { Random } from '../support/random.ts'
import type { SentFrame } from '../support/ws-client.ts'
import { openSocket } from '../support/ws-client.ts'

const SEED = Math.floor(Math.random() * 2 ** 31)
const SOCKETS = 3
const ROUNDS = 6
const COMMANDS = 25

class Asker {
  readonly #random: Random
  /** Cursors that somebody was sent. */
  readonly cursors = ['x', '', 'AQ']

  constructor(random: Random) {
    this.#random = random
  }

  frame(): SentFrame {
    const random = this.#random
    const sub = random.pick(['a', 'b', 'c'])
    const records = Array.from({ length: 1 + random.below(3) }, () => this.#place())
    return random.pick<() => SentFrame>([
      () => this.#subscribe(sub),
      () => this.#subscribe(sub),
      () => this.#subscribe(sub),
      () => ({ type: 'unsubscribe', sub }),
      () => ({ type: 'commit', sub, cursor: random.pick(this.cursors) }),
      () => ({ type: 'commit', sub, positions: records }),
      () => ({ type: 'commit', sub, group: random.pick(['g', 'q']), cursor: random.pick(this.cursors) }),
      () => ({ type: 'ack', sub, outcome: random.pick(['accept', 'release', 'reject', 'extend']), records }),
      () => ({ type: 'release', sub }),
      () => ({
        type: 'seek',
        sub,
        to: random.pick(['earliest', 'latest', '-3', '5', '1h', 'committed', `cursor:${random.pick(this.cursors)}`]),
      }),
      () => ({ type: 'credit', sub, records: random.pick([-1, 0, 1, 50]) }),
      () => ({ type: random.pick(['pause', 'resume']), sub }),
    ])()
  }

  #subscribe(sub: string): SentFrame {
    const random = this.#random
    const some = <Value>(value: Value) => (random.chance(0.3) ? value : undefined)
    return {
      type: 'subscribe',
      sub,
      group: random.pick(['g', 'g', 'q', 'bad/\n']),
      mode: random.pick(['group', 'shared', undefined]),
      ...random.pick([
        { topics: ['orders'] },
        { topics: ['orders', 'jobs'] },
        { pattern: 'o.*' },
        { pattern: '(' },
        { topics: ['none'] },
      ]),
      member: some(random.pick(['w', '', 'ÿ\n'])),
      instance: some('i'),
      from: some(random.pick(['latest', 'committed', '-2', '7', 'x'])),
      session_timeout_ms: some(random.pick([1, 6_000, 10_000])),
      release_ms: random.pick([0, 50]),
      auto_commit_ms: some(1_000),
      lease_ms: some(1_000),
      max_attempts: some(2),
      until: some(random.pick(['latest', { count: 3 }])),
      overflow: some(random.pick(['pause', 'drop_oldest', 'latest_per_key'])),
      on_gap: some('error'),
      credit: some({ records: random.pick([0, 3, -1]) }),
      batch: some({ records: 2 }),
    }
  }

  #place() {
    const random = this.#random
    const topic = random.pick(['orders', 'jobs', 'none'])
    return { topic, partition: random.below(4), offset: random.pick([0, 1, 5, 2 ** 52]) }
  }
}

test(`anything may be asked of groups (seed ${SEED})`, async (t) => {
  const server = await startServer(t, { set: { 'group.min.session.timeout.ms': '1000' } })
  const random = new Random(SEED)
  const asker = new Asker(random)
  for (const name of ['orders', 'jobs']) await server.post('/v1/topics', { name, partitions: 3 })
  for (let round = 0; round < ROUNDS; round++) {
    const sockets = await Promise.all(Array.from({ length: SOCKETS }, () => openSocket(t, server)))
    for (const partition of [0, 1, 2]) {
      await server.post('/v1/topics/orders/records', { records: [{ key: 'k', value: round, partition }] })
    }
    await Promise.all(
      sockets.map(async (socket) => {
        const asked: Promise<unknown>[] = []
        for (let command = 0; command < COMMANDS; command++) {
          const frame = JSON.parse(JSON.stringify(asker.frame())) as SentFrame
          const answering = socket.ask(frame).then((answer) => {
            assert.notEqual(
              answer.code,
              'unknown_server_error',
              `${JSON.stringify(frame)} -> ${JSON.stringify(answer)}`,
            )
          })
          // one that was put out is closed
          asked.push(answering.catch((error: Error) => assert.match(error.message, /the socket closed/)))
          if (random.chance(0.3)) await Promise.all(asked)
        }
        await Promise.all(asked)
        for (const { cursor } of socket.received) if (cursor !== undefined) asker.cursors.push(cursor)
        const failures = socket.received.filter(({ code }) => code === 'unknown_server_error')
        assert.deepEqual(failures, [])
        if (random.chance(0.5)) socket.socket.terminate()
        else await socket.close(random.pick([1000, 1001]))
      }),
    )
  }
  assert.deepEqual(
    server.log.filter(({ level }) => level === 'error'),
    [],
  )
  const socket = await openSocket(t, server)
  await socket.command({ type: 'subscribe', sub: 'a', topics: ['orders'], group: 'new' })
  await socket.records('a', 3 * ROUNDS)
})
