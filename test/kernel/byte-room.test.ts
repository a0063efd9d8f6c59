import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HeldBytes } from '../../src/kernel/byte-room.ts'
import { ByteRoom } from '../../src/kernel/byte-room.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Random } from '../support/random.ts'

function open(waitingMax = 100) {
  const clock = new FakeClock()
  return { clock, room: new ByteRoom({ clock, name: 'tests', bytesMax: 100, waitMsMax: 1_000, waitingMax }) }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

test('who finds no room waits in the order of coming, and those who fit do not overtake', async () => {
  const { room } = open()
  const first = await room.enter(60)
  const entered: string[] = []
  const large = room.enter(80).then((held) => {
    entered.push('large')
    return held
  })
  const small = room.enter(10).then((held) => {
    entered.push('small')
    return held
  })
  await settle()
  assert.deepEqual(entered, [])
  first.shrink(20)
  await settle()
  assert.deepEqual(entered, ['large'])
  assert.equal(room.heldBytes, 100)
  first.leave()
  first.leave()
  await settle()
  assert.deepEqual(entered, ['large', 'small'])
  for (const held of [await large, await small]) held.leave()
  assert.equal(room.heldBytes, 0)
})

test('a wait is over after its time, and who stood behind goes on', async () => {
  const { clock, room } = open()
  await room.enter(60)
  const large = room.enter(80)
  clock.advance(500)
  const small = room.enter(10)
  clock.advance(500)
  await assert.rejects(large, { code: 'overloaded' })
  await small
  assert.equal(room.heldBytes, 70)
})

test('a line that is full refuses, and more than the whole room is had alone', async () => {
  const { room } = open(1)
  const whole = await room.enter(1_000)
  const next = room.enter(1)
  await assert.rejects(room.enter(1), { code: 'overloaded' })
  whole.leave()
  await next
})

test('no history of comings and goings holds more than there is room for, or forgets anyone', async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  t.diagnostic(`seed ${seed}`)
  const random = new Random(seed)
  const { clock, room } = open()
  const held: HeldBytes[] = []
  let asked = 0
  let answered = 0
  for (let step = 0; step < 2_000; step++) {
    const dice = random.next()
    if (dice < 0.45) {
      asked++
      const over = () => answered++
      room.enter(1 + random.below(100)).then((bytes) => held.push(bytes) && over(), over)
    } else if (dice < 0.9) held.splice(random.below(held.length), 1)[0]?.leave()
    else if (dice < 0.95) held[0]?.shrink(1)
    else clock.advance(300)
    await settle()
    assert.ok(room.heldBytes <= 100, `seed ${seed}, step ${step}`)
  }
  while (answered < asked) {
    for (const one of held.splice(0)) one.leave()
    await settle()
  }
  for (const one of held.splice(0)) one.leave()
  assert.equal(room.heldBytes, 0)
})
