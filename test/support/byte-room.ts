// Room for inflated batches, as a consume service makes it.

import { ByteRoom } from '../../src/kernel/byte-room.ts'
import { INFLATED_BYTES_HELD_MAX } from '../../src/kernel/limits.ts'
import { FakeClock } from './fake-clock.ts'

export function roomForInflated(clock = new FakeClock()): ByteRoom {
  return new ByteRoom({ clock, name: 'tests', bytesMax: INFLATED_BYTES_HELD_MAX, waitMsMax: 1_000, waitingMax: 10 })
}
