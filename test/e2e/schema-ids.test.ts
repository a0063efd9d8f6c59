// Schemas registered by many at once, while the server is killed again and again: each content ends with one id that everybody
// was told, and ids have no holes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/engine-options.ts'
import { Random } from '../support/random.ts'
import { recordOf } from '../support/schema-registry.ts'
import { ServerProcess } from '../support/server-process.ts'

const SCHEMAS = 100
const REGISTRATIONS = 1_000
const AT_ONCE = 50
const KILLS = 2

interface Told {
  readonly schema: number
  readonly subject: string
  readonly id: number
  readonly version: number
}

test('1,000 registrations of 100 schemas at once end with 100 ids, kill -9 in between', async (t) => {
  const seed = Date.now() % 0x7fff_ffff
  t.diagnostic(`seed ${seed}`)
  const random = new Random(seed)
  const dataDir = temporaryDirectory(t)
  let server = await ServerProcess.start({ dataDir })
  t.after(() => server.kill())
  const textOf = (schema: number) => recordOf(`Schema${schema}`, { [`field${schema}`]: 'int' })
  const told: Told[] = []
  const waiting = Array.from({ length: REGISTRATIONS }, (_, at) => {
    const schema = at % SCHEMAS
    return { schema, subject: `s${schema}-${random.below(3)}` }
  }).sort(() => random.next() - 0.5)
  let kills = 0
  let restarting: Promise<void> | undefined

  const restart = async () => {
    await server.kill()
    server = await ServerProcess.start({ dataDir })
  }
  const work = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      await restarting
      const { schema, subject } = next
      try {
        const body = { schema: textOf(schema) }
        const reply = await server.request('POST', `/subjects/${subject}/versions`, { body })
        if (reply.status === 503) {
          waiting.push(next)
          continue
        }
        assert.equal(reply.status, 200, reply.text())
        const { id, version } = reply.json()
        told.push({ schema, subject, id, version })
      } catch (error) {
        // killed under way: whether it was stored nobody knows, so it is asked for again
        if (error instanceof assert.AssertionError) throw error
        waiting.push(next)
      }
      if (kills < KILLS && told.length > ((kills + 1) * SCHEMAS) / (KILLS + 2) && restarting === undefined) {
        kills++
        restarting = restart().finally(() => {
          restarting = undefined
        })
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  assert.equal(kills, KILLS)
  assert.equal(told.length, REGISTRATIONS)

  const idOf = new Map<number, number>()
  for (const { schema, id, version } of told) {
    assert.equal(idOf.get(schema) ?? id, id, `schema ${schema} has one id`)
    assert.equal(version, 1)
    idOf.set(schema, id)
  }
  const ids = [...idOf.values()].sort((left, right) => left - right)
  assert.deepEqual(
    ids,
    Array.from({ length: SCHEMAS }, (_, at) => at + 1),
  )
  await restart()
  for (const [schema, id] of idOf) {
    const { status, json } = await server.request('GET', `/schemas/ids/${id}`)
    assert.deepEqual([status, json().schema], [200, textOf(schema)])
  }
  const subjects = (await server.request('GET', '/subjects')).json()
  assert.deepEqual(subjects, [...new Set(told.map(({ subject }) => subject))].sort())
  await server.stop()
})
