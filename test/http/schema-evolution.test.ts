// A schema as it grows over ten versions, each offered in turn to a subject of each level. Those that are refused are left
// out, so that the next one is held against the last that was taken, or against all that were.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'

type Json = Readonly<Record<string, unknown>>

const id = { name: 'id', type: 'long' }
const customer = { name: 'customer', type: 'string' }
const total = (type: string) => ({ name: 'total', type })
const optional = (name: string, type = 'string') => ({ name, type: ['null', type], default: null })
const channel = optional('channel')
const currency = (more: Json = {}) => ({ name: 'currency', type: 'string', ...more })
const status = (symbols: readonly string[], more: Json = {}) => ({
  name: 'status',
  type: { type: 'enum', name: 'Status', symbols, ...more },
})

const EUR = { default: 'EUR' }
const NEW = { default: 'NEW' }
const two = ['NEW', 'PAID']
const three = [...two, 'REFUNDED']

const VERSIONS: readonly { readonly change: string; readonly fields: readonly Json[] }[] = [
  { change: 'an order', fields: [id, customer, total('int'), status(two)] },
  { change: 'a note, null by default', fields: [id, customer, total('int'), status(two), optional('note')] },
  { change: 'a channel in its place', fields: [id, customer, total('int'), status(two), channel] },
  { change: 'a currency without a default', fields: [id, customer, total('int'), status(two), channel, currency()] },
  { change: 'which gets a default', fields: [id, customer, total('int'), status(two), channel, currency(EUR)] },
  { change: 'a default state', fields: [id, customer, total('int'), status(two, NEW), channel, currency(EUR)] },
  { change: 'a third state', fields: [id, customer, total('int'), status(three, NEW), channel, currency(EUR)] },
  { change: 'no customer any more', fields: [id, total('int'), status(three, NEW), channel, currency(EUR)] },
  { change: 'totals beyond 32 bits', fields: [id, total('long'), status(three, NEW), channel, currency(EUR)] },
  {
    change: 'a note again, a number',
    fields: [id, total('long'), status(three, NEW), channel, currency(EUR), optional('note', 'int')],
  },
]

/**
 * What is refused, and why:
 * 4: nobody can tell the currency of older orders; 7: readers of the first five know no third state and have no default;
 * 8: older readers want a customer; 9: they read 32 bits; 10: its reader cannot read the texts that notes were in 2, nor
 * can the reader of 2 read numbers.
 */
const REFUSED: Readonly<Record<string, readonly number[]>> = {
  NONE: [],
  BACKWARD: [4],
  BACKWARD_TRANSITIVE: [4, 10],
  FORWARD: [8, 9, 10],
  FORWARD_TRANSITIVE: [7, 8, 9, 10],
  FULL: [4, 8, 9, 10],
  FULL_TRANSITIVE: [4, 7, 8, 9, 10],
}

test('ten versions under each of the seven levels', async (t) => {
  const server = await startServer(t)
  for (const [level, refused] of Object.entries(REFUSED)) {
    await t.test(`${level}: refused are ${refused.join(', ') || 'none'}`, async () => {
      const subject = `orders-${level}`
      const set = await server.request('PUT', `/config/${subject}`, { body: { compatibility: level } })
      assert.equal(set.status, 200, set.text())
      for (const [at, { change, fields }] of VERSIONS.entries()) {
        const about = `${at + 1}: ${change}`
        const body = { schema: JSON.stringify({ type: 'record', name: 'Order', namespace: 'shop', fields }) }
        const isRefused = refused.includes(at + 1)
        const check = await server.post(`/compatibility/subjects/${subject}/versions?verbose=true`, body)
        const verdict = check.json() as { is_compatible: boolean; messages: readonly string[] }
        assert.deepEqual([verdict.is_compatible, verdict.messages.length > 0], [!isRefused, isRefused], about)
        const reply = await server.post(`/subjects/${subject}/versions`, body)
        assert.deepEqual([reply.status, reply.json().error_code], isRefused ? [409, 40901] : [200, undefined], about)
      }
      const taken = (await server.get(`/subjects/${subject}/versions`)).json() as unknown
      const count = VERSIONS.length - refused.length
      assert.deepEqual(
        taken,
        Array.from({ length: count }, (_, at) => at + 1),
      )
    })
  }
})
