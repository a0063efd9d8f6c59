// `tailrace groups`, and the lines of Kafka's tool for groups, against a real server.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { TailraceClient } from '../../src/client/client.ts'
import { startServer } from '../support/http.ts'
import { runCli, runCliOk } from './cli-process.ts'

/** A topic of two partitions with five records each, and a group that stands at 2 in both. */
async function start(t: TestContext) {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions: 2 })
  const records = Array.from({ length: 10 }, (_, at) => ({ value: at, partition: at % 2 }))
  await server.post('/v1/topics/orders/records', { records })
  const client = new TailraceClient({ url: server.url })
  await client.resetOffsets('billing', { to: '2', topics: ['orders'] })
  const kafka = (line: string) =>
    runCli(`kafka-consumer-groups.sh --bootstrap-server 127.0.0.1:${server.port} ${line}`.split(' '))
  return { url: server.url, client, kafka, dataDir: server.dataDir }
}

async function offsetsOf(client: TailraceClient, group: string) {
  return (await client.getGroup(group)).offsets.map(({ committed_offset }) => committed_offset)
}

test('groups are listed, described, reset and deleted', async (t) => {
  const { url, client } = await start(t)
  const listed = await runCliOk(['groups', 'list'], { url })
  assert.deepEqual(listed.lines, [{ group: 'billing', state: 'Empty', protocol_type: '' }])
  const described = await runCliOk(['groups', 'describe', 'billing', '--output', 'table'], { url })
  assert.match(described.stdout, /^Group billing \(Empty, generation \d+\)\n\nNobody is in it\.\n\n/)
  assert.match(described.stdout, /TOPIC +PARTITION +COMMITTED +END +LAG +MEMBER\norders +0 +2 +5 +3 +-\n/)

  const dry = await runCliOk(['groups', 'reset', 'billing', '--to', '99', '--output', 'table'], { url })
  assert.match(dry.stdout, /orders +0 +2 +5 +99 is beyond the end: the end\n/)
  assert.match(dry.stderr, /nothing is changed: --execute does it/)
  assert.deepEqual(await offsetsOf(client, 'billing'), [2, 2])
  const done = await runCliOk(['groups', 'reset', 'billing', '--shift-by', '-1', '-t', 'orders:1', '--execute'], {
    url,
  })
  assert.deepEqual(done.lines, [{ topic: 'orders', partition: 1, previous_offset: 2, offset: 1 }])
  assert.equal(done.stderr, '1 offset is set\n')
  assert.deepEqual(await offsetsOf(client, 'billing'), [2, 1])

  await runCliOk(['groups', 'delete', 'billing', '-t', 'orders:0'], { url })
  const both = await runCli(['groups', 'delete', 'billing', '-t', 'orders:0', '--force'], { url })
  assert.equal(both.code, 2, both.stderr)
  assert.deepEqual(await offsetsOf(client, 'billing'), [1])
  await runCliOk(['groups', 'delete', 'billing', '--force'], { url })
  assert.equal((await runCli(['groups', 'describe', 'billing'], { url })).code, 3)
  assert.equal((await runCli(['groups', 'reset', 'billing'], { url })).code, 2)
  const nonsense = await runCli(['groups', 'reset', 'billing', '--to', 'nonsense'], { url })
  assert.equal(nonsense.code, 2)
  assert.match(nonsense.stderr, /'nonsense' is no position: allowed are earliest, latest, committed .* 7d\n$/)
  assert.doesNotMatch(nonsense.stderr, /-N|cursor/)
  const create = await runCli(['groups', 'create', 'foo'], { url })
  assert.deepEqual([create.code, /Did you mean/.test(create.stderr)], [2, false])
})

test('a reset says which partitions it leaves out, and how they are named', async (t) => {
  const { url, client } = await start(t)
  await client.deleteOffsets('billing', 'orders', { partitions: [0] })
  const dry = await runCliOk(['groups', 'reset', 'billing', '--to', 'latest'], { url })
  assert.deepEqual(
    dry.lines.map(({ partition }) => partition),
    [1],
  )
  const leftOut = 'left out: 1 partition that the group has committed nothing of; --topic orders names it too\n'
  assert.equal(dry.stderr, `${leftOut}nothing is changed: --execute does it\n`)
  const done = await runCliOk(['groups', 'reset', 'billing', '--to', 'latest', '--execute'], { url })
  assert.equal(done.stderr, `${leftOut}1 offset is set\n`)
  const named = await runCliOk(['groups', 'reset', 'billing', '--to', 'latest', '--topic', 'orders', '--execute'], {
    url,
  })
  assert.equal(named.stderr, '2 offsets are set\n')
})

test('a work queue is described with what is leased, and what is acknowledged above where it stands', async (t) => {
  const { url, client } = await start(t)
  const { lease, records } = await client.pollGroup('mailers', { topics: ['orders'], mode: 'shared', from: 'earliest' })
  const [first] = records.filter(({ offset }) => offset === 1)
  assert.ok(first && lease)
  const { topic, partition, offset } = first
  await client.ackLease('mailers', lease, { accepted: [{ topic, partition, offset }], keep: true })
  const described = await runCliOk(['groups', 'describe', 'mailers', '--output', 'table'], { url })
  assert.match(described.stdout, /COMMITTED +END +LAG +LEASED +ACKNOWLEDGED +MEMBER\n/)
  assert.match(described.stdout, new RegExp(`orders +${partition} +0 +5 +5 +4 +1 +tailrace-poll`))
})

test('of several groups one that fails keeps the others from nothing', async (t) => {
  const { url, client } = await start(t)
  const described = await runCli(['groups', 'describe', 'nobody', 'billing'], { url })
  assert.deepEqual([described.code, described.lines.map(({ group }) => group)], [3, ['billing']])
  assert.match(described.stderr, /there is no group 'nobody'\ntailrace: 1 of 2 groups failed\n$/)
  await client.resetOffsets('shipping', { to: '2', topics: ['orders'] })
  const deleted = await runCli(['groups', 'delete', 'billing', 'nobody', 'shipping'], { url })
  assert.equal(deleted.code, 3)
  assert.deepEqual(await client.listGroups(), [])
})

test('a dry run plans for a group that somebody is in, and says that it would be refused', async (t) => {
  const { url, client, kafka } = await start(t)
  const { lease } = await client.pollGroup('billing', { topics: ['orders'] })
  assert.ok(lease)
  const dry = await runCliOk(['groups', 'reset', 'billing', '--to', 'earliest'], { url })
  assert.deepEqual(
    dry.lines.map(({ offset }) => offset),
    [0, 0],
  )
  assert.match(
    dry.stderr,
    /^nothing is changed, and now --execute would be refused: group 'billing' is Stable with 1 member: .*, or with --force, which makes its members leave and ends its leases\n$/,
  )
  assert.equal((await runCli(['groups', 'reset', 'billing', '--to', 'earliest', '--execute'], { url })).code, 1)
  const line = await kafka('--reset-offsets --group billing --to-earliest --all-topics --dry-run')
  assert.equal(line.code, 1)
  assert.match(line.stderr, /can only be reset if the group 'billing' is inactive, but the current state is Stable/)
  const kept = await kafka('--delete --group billing')
  assert.match(kept.stderr, /'billing' could not be deleted due to: .*, or with tailrace groups delete --force, which/)
})

test('leases of workers that have gone are seen, and ended', async (t) => {
  const { url, client } = await start(t)
  const body = { topics: ['orders'], member: 'w-1', lease_ms: 43_200_000, wait_ms: 5_000 }
  await client.pollGroup('billing', body)
  const described = await runCliOk(['groups', 'describe', 'billing', '--output', 'table'], { url })
  assert.match(described.stdout, /\nWho of those that poll it has what: tailrace groups leases billing\n$/)
  const shown = await runCliOk(['groups', 'leases', 'billing', '--output', 'table'], { url })
  assert.match(
    shown.stdout,
    /^MEMBER +TOPIC +PARTITION +FROM +THROUGH +UNTIL\nw-1 +orders +0 +2 +4 +2\S+Z\nw-1 +orders +1 +2 +4 +2\S+Z\n$/,
  )
  const listed = await runCliOk(['groups', 'leases', 'billing'], { url })
  assert.deepEqual(listed.lines, await client.listLeases('billing'))
  const nobody = await runCliOk(['groups', 'release', 'billing', '--member', 'w-2'], { url })
  assert.match(nobody.stderr, /^nothing is released: no lease of member w-2 is open\n$/)
  const released = await runCliOk(['groups', 'release', 'billing', '--member', 'w-1'], { url })
  assert.equal(released.stderr, '1 lease is released\n')
  const none = await runCliOk(['groups', 'leases', 'billing', '--output', 'table'], { url })
  assert.equal(none.stdout, 'No lease is open.\n')
  assert.equal((await client.pollGroup('billing', { topics: ['orders'] })).records.length, 6)
  assert.deepEqual(
    (await runCliOk(['groups', 'release', 'billing', '--member', ''], { url })).stderr,
    '1 lease is released\n',
  )
  for (const verb of [
    ['leases', 'nobody'],
    ['release', 'nobody', '--member', 'w-1'],
  ]) {
    assert.equal((await runCli(['groups', ...verb], { url })).code, 3)
  }
  assert.equal((await runCli(['groups', 'release', 'billing'], { url })).code, 2)
})

test('where a group stands can be read from without being in it', async (t) => {
  const { url, client } = await start(t)
  const read = await runCliOk(['consume', 'orders', '--group', 'billing', '--offset', 'committed', '-e'], { url })
  assert.deepEqual(read.lines.map(({ offset }) => offset).sort(), [2, 2, 3, 3, 4, 4])
  assert.deepEqual(await offsetsOf(client, 'billing'), [2, 2])
})

test("Kafka's lines list and describe", async (t) => {
  const { kafka } = await start(t)
  assert.equal((await kafka('--list')).stdout, 'billing\n')
  assert.match((await kafka('--list --state')).stdout, /^GROUP +STATE +\nbilling +Empty +\n$/)
  const described = await kafka('--describe --group billing')
  assert.equal(described.code, 0)
  assert.equal(described.stderr, "\nConsumer group 'billing' has no active members.\n")
  assert.equal(
    described.stdout,
    [
      '',
      'GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID',
      'billing         orders          0          2               5               3               -               -               -',
      'billing         orders          1          2               5               3               -               -               -',
      '',
    ].join('\n'),
  )
  assert.match((await kafka('--describe --all-groups --state')).stdout, /ASSIGNMENT-STRATEGY {2}STATE +#MEMBERS\n/)
  const members = await kafka('--describe --group billing --members')
  assert.deepEqual([members.stdout, members.stderr], ['', "\nConsumer group 'billing' has no active members.\n"])
  const unknown = await kafka('--describe --group nobody')
  assert.deepEqual([unknown.code, unknown.stderr], [1, "Error: Consumer group 'nobody' does not exist.\n"])
})

test("Kafka's lines reset, by every scenario", async (t) => {
  const { kafka, client, dataDir } = await start(t)
  const dry = await kafka('--reset-offsets --group billing --to-earliest --all-topics')
  assert.equal(
    dry.stdout,
    [
      '',
      'GROUP           TOPIC           PARTITION  NEW-OFFSET',
      'billing         orders          0          0',
      'billing         orders          1          0',
      '',
    ].join('\n'),
  )
  assert.match(dry.stderr, /^WARN: No action will be performed as the --execute option is missing\./)
  assert.deepEqual(await offsetsOf(client, 'billing'), [2, 2])

  const file = join(dataDir, 'plan.csv')
  writeFileSync(file, 'orders,0,1\n"orders",1,4\n')
  const cases: [line: string, expected: number[]][] = [
    ['--to-latest --topic orders', [5, 5]],
    ['--shift-by -2 --topic orders:0', [3, 5]],
    ['--shift-by +1 --topic orders:0', [4, 5]],
    ['--to-offset 1 --topic orders:0,1', [1, 1]],
    ['--to-datetime 2999-01-01T00:00:00.000 --topic orders', [5, 5]],
    ['--by-duration PT1H --all-topics', [0, 0]],
    [`--from-file ${file}`, [1, 4]],
    ['--to-current --all-topics', [1, 4]],
  ]
  for (const [line, expected] of cases) {
    const { code, stderr } = await kafka(`--reset-offsets --group billing --execute ${line}`)
    assert.equal(code, 0, stderr)
    assert.deepEqual(await offsetsOf(client, 'billing'), expected, line)
  }
  const exported = await kafka('--reset-offsets --group billing --to-current --all-topics --dry-run --export')
  assert.equal(exported.stdout, 'orders,0,1\norders,1,4\n\n')
  const bounded = await kafka('--reset-offsets --group billing --to-offset 99 --topic orders:0 --dry-run')
  assert.match(bounded.stderr, /New offset \(99\) is higher than latest offset for topic partition orders-0\./)
})

test("Kafka's lines delete, and are refused as there", async (t) => {
  const { kafka, client } = await start(t)
  const forgotten = await kafka('--delete-offsets --group billing --topic orders:0')
  assert.equal(forgotten.code, 0, forgotten.stderr)
  assert.match(
    forgotten.stdout,
    /^Request succeeded for deleting offsets from group billing\.\n\nTOPIC +PARTITION +STATUS/,
  )
  assert.match(forgotten.stdout, /\norders +0 +Successful/)
  assert.deepEqual(await offsetsOf(client, 'billing'), [2])
  const deleted = await kafka('--delete --group billing')
  assert.equal(deleted.stdout, "Deletion of requested consumer groups ('billing') was successful.\n")
  const again = await kafka('--delete --group billing')
  assert.deepEqual([again.code, again.stdout], [1, ''])
  assert.match(
    again.stderr,
    /^Error: Deletion of some consumer groups failed:\n\* Group 'billing' could not be deleted/,
  )

  const wrong: [line: string, message: RegExp][] = [
    ['--list --describe', /exactly one action/],
    ['--describe', /takes one of these options: \[group\], \[all-groups\]/],
    ['--delete-offsets --group g', /takes the following options/],
    ['--reset-offsets --group g --to-latest', /--all-topics, --topic/],
    ['--reset-offsets --group g --topic orders', /one of the following scenarios/],
    ['--reset-offsets --group g --topic orders --to-latest --shift-by 1', /can't be used .* only one scenario/],
    ['--reset-offsets --group g --topic orders:x --to-latest', /whole number/],
    ['--reset-offsets --group g --all-topics --by-duration 1h', /PnDTnHnMnS/],
    [
      '--reset-offsets --group g --all-topics --to-datetime yesterday',
      /'yesterday' is no time; .* YYYY-MM-DDTHH:mm:SS\.sss/,
    ],
    ['--reset-offsets --group g --all-topics --to-offset abc', /A whole number is needed/],
  ]
  const results = await Promise.all(wrong.map(([line]) => kafka(line)))
  for (const [at, { code, stderr }] of results.entries()) {
    assert.equal(code, 1, wrong[at]?.[0])
    assert.match(stderr, wrong[at]?.[1] ?? /^$/)
  }
})
