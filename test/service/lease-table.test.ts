import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LEASES_OPEN_MAX, LEASES_REMEMBERED_MAX, LEASES_REMEMBERED_PARTITIONS_MAX } from '../../src/kernel/limits.ts'
import { ENDED, LeaseTable } from '../../src/service/leases/lease-table.ts'
import { FakeClock } from '../support/fake-clock.ts'

const ACCEPT_ALL = { accept: 'all' } as const

function openTable() {
  const clock = new FakeClock()
  const expired: string[] = []
  const table = new LeaseTable<string>({ clock, onExpired: ({ held }) => expired.push(held) })
  return { clock, table, expired }
}

test('no more leases are open at once than there may be', () => {
  const { clock, table } = openTable()
  for (let count = 0; count < LEASES_OPEN_MAX; count++) {
    table.checkRoom()
    table.give(table.open(''), 1_000)
  }
  assert.throws(() => table.checkRoom(), { code: 'overloaded' })
  clock.advance(1_000)
  table.checkRoom()
})

test("a lease's time begins when it is given, and nobody is shown one that was not", async () => {
  const { clock, table, expired } = openTable()
  const lease = table.open('a')
  clock.advance(10_000)
  assert.deepEqual([table.list(), table.size, expired], [[], 1, []])
  table.give(lease, 1_000)
  assert.deepEqual(table.list(), [lease])
  clock.advance(999)
  assert.deepEqual(expired, [])
  clock.advance(1)
  assert.deepEqual(expired, ['a'])
  await assert.rejects(
    table.use(lease.id, async () => undefined),
    { code: 'fenced_lease' },
  )
})

test('of leases that ended with an ack the latest are remembered', () => {
  const { table } = openTable()
  const ids = Array.from({ length: LEASES_REMEMBERED_MAX + 1 }, (_, at) => `lease-${at}`)
  for (const id of ids) table.remember(id, ACCEPT_ALL, ENDED)
  assert.equal(table.repeated('lease-0', ACCEPT_ALL), undefined)
  for (const id of ids.slice(1)) assert.equal(table.repeated(id, ACCEPT_ALL), ENDED)
  assert.throws(() => table.repeated('lease-1', { accept: 'all', keep: true }), { code: 'fenced_lease' })
})

test('answers that name many partitions are remembered as long as there is room for them', () => {
  const { table } = openTable()
  const partitionCount = LEASES_REMEMBERED_PARTITIONS_MAX / 4
  const committed = Array.from({ length: partitionCount }, (_, partition) => ({ topic: 'jobs', partition, offset: 1 }))
  for (const id of ['a', 'b', 'c', 'd', 'e']) table.remember(id, ACCEPT_ALL, { ...ENDED, committed })
  const known = ['a', 'b', 'c', 'd', 'e'].filter((id) => table.repeated(id, ACCEPT_ALL) !== undefined)
  assert.deepEqual(known, ['b', 'c', 'd', 'e'])
})

test('why a lease is over is remembered of the latest', async () => {
  const { table } = openTable()
  const leases = Array.from({ length: LEASES_REMEMBERED_MAX + 1 }, () => table.open(''))
  for (const lease of leases) {
    table.give(lease, 1_000)
    table.end(lease, 'released')
  }
  const reasonOf = async (id = '') =>
    await table.use(id, async () => 'open').catch(({ details }: { details: { reason?: string } }) => details.reason)
  assert.deepEqual(await Promise.all([reasonOf(leases[0]?.id), reasonOf(leases[1]?.id)]), [undefined, 'released'])
})
