// Groups that are polled, on a real log with a clock that moves only when told: records go in, polls and acks are made as
// HTTP makes them, and what was given is read back as text.

import type { TestContext } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import type { Engine } from '../../src/engine/engine.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import type { LocalEngineOptions } from '../../src/local-engine/local-engine.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import type { Caller } from '../../src/service/caller.ts'
import { ANONYMOUS } from '../../src/service/caller.ts'
import type { AssignorName, GroupMembers } from '../../src/service/groups/group-member.ts'
import { openGroupMembers } from '../../src/service/groups/group-members.ts'
import type { GroupPolled, GroupPollRequest, GroupPollService, PollSink } from '../../src/service/groups/group-poll.ts'
import { createStateTopic } from '../../src/service/groups/state-topic.ts'
import { createGroupPollService } from '../../src/service/leases/group-polls.ts'
import { createConsumeService } from '../../src/service/read/consume.ts'
import { parsePosition } from '../../src/service/read/positions.ts'
import { engineOptions, temporaryDirectory } from './engine-options.ts'
import { FakeClock } from './fake-clock.ts'
import type { PlainRecord } from './readable-engine.ts'
import { partsOf } from './record-parts.ts'

export const caller: Caller = { principal: ANONYMOUS, clientId: '', host: '', requestId: '' }

export class GivenRecords implements PollSink {
  readonly records: GivenRecord[] = []
  #topic = ''
  #partition = -1
  #attempts = 0

  begin(topic: string, partition: number): void {
    this.#topic = topic
    this.#partition = partition
  }

  attempt(attempts: number): void {
    this.#attempts = attempts
  }

  write({ bytes, offset, valueStart, valueEnd }: RecordReader): void {
    const value = valueStart < 0 ? null : bytes.toString('utf8', valueStart, valueEnd)
    this.records.push({ topic: this.#topic, partition: this.#partition, offset, value, attempts: this.#attempts })
  }
}

export interface GivenRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly value: string | null
  readonly attempts: number
}

export type Asked = Partial<Omit<GroupPollRequest, 'from' | 'groupId' | 'caller'>> & {
  readonly group?: string
  readonly topics?: readonly string[]
  readonly from?: string
}

export interface Polled {
  readonly lease: string
  /** `partition:offset=value`, in the order given. */
  readonly records: readonly string[]
  readonly given: readonly GivenRecord[]
  readonly polled: GroupPolled<GivenRecords>
}

export class PollBench {
  readonly clock: FakeClock
  readonly engine: Engine
  readonly members: GroupMembers
  readonly polls: GroupPollService
  readonly dataDir: string

  constructor(
    dataDir: string,
    clock: FakeClock,
    engine: Engine,
    assignors: readonly AssignorName[] = ['cooperative-sticky', 'range'],
  ) {
    this.dataDir = dataDir
    this.clock = clock
    this.engine = engine
    const telemetry = new Telemetry()
    const consume = createConsumeService({ engine, clock, telemetry })
    this.members = openGroupMembers({ engine, clock, logger: silentLogger })
    this.polls = createGroupPollService({
      engine,
      members: this.members,
      consume,
      state: createStateTopic({ engine, clock }),
      telemetry,
      assignors,
      sessionTimeoutMsMin: 1_000,
      sessionTimeoutMsMax: 1_800_000,
      clock,
      logger: silentLogger,
    })
  }

  async poll(asked: Asked = {}): Promise<Polled> {
    const { group = 'g', topics = ['jobs'], from = 'earliest', ...rest } = asked
    const polled = await this.polls.poll(
      {
        caller,
        groupId: group,
        mode: 'exclusive',
        member: '',
        subscription: { topics },
        limit: 100,
        maxBytes: 1_000_000,
        waitMs: 0,
        leaseMs: 30_000,
        maxAttempts: 5,
        from: parsePosition(from),
        ...rest,
      },
      () => new GivenRecords(),
    )
    const given = polled.sink.records
    const records = given.map(({ partition, offset, value }) => `${partition}:${offset}=${value}`)
    return { lease: polled.given?.id ?? '', records, given, polled }
  }

  /** The first poll of a group makes it shared. */
  take(asked: Asked = {}): Promise<Polled> {
    return this.poll({ mode: 'shared', ...asked })
  }

  /** Offsets of one partition. */
  judge(
    lease: string,
    said: Partial<Record<'accepted' | 'released' | 'rejected', readonly number[]>>,
    { keep, partition = 0, group = 'g' }: { keep?: boolean; partition?: number; group?: string } = {},
  ) {
    const places = (offsets: readonly number[] | undefined) =>
      offsets?.map((offset) => ({ topic: 'jobs', partition, offset }))
    return this.polls.ack(caller, group, lease, {
      accepted: places(said.accepted),
      released: places(said.released),
      rejected: places(said.rejected),
      keep,
    })
  }

  /** All records of a partition as text, with the headers that say where a dead letter is from. */
  async deadLetters(partition = 0, topicName = 'jobs.dlq'): Promise<string[]> {
    const topic = this.engine.findTopic(topicName)
    if (topic === undefined) return []
    const [part] = await this.engine.fetch([{ topic, partition, offset: 0 }], {
      minBytes: 0,
      maxBytes: 2 ** 24,
      maxWaitMs: 0,
      isolation: 'read_committed',
    })
    const found: string[] = []
    const reader = new RecordReader()
    for (let position = 0; part !== undefined && position < part.bytes.length; position = reader.batchEnd) {
      reader.open(part.bytes, position)
      while (reader.next()) {
        const headers = new Map(reader.headers().map(({ name, value }) => [name, String(value)]))
        const value = reader.bytes.toString('utf8', Math.max(0, reader.valueStart), Math.max(0, reader.valueEnd))
        const origin = ['group', 'origin.topic', 'origin.partition', 'origin.offset'].map((name) =>
          headers.get(`dlq.${name}`),
        )
        found.push(`${origin.join('/')}=${value} ${headers.get('dlq.reason')} ${headers.get('dlq.attempts')}`)
      }
    }
    return found
  }

  ackAll(lease: string, group = 'g') {
    return this.polls.ack(caller, group, lease, { through: 'all' })
  }

  async produce(topic: string, partition: number, ...values: string[]): Promise<void> {
    await this.append(
      topic,
      partition,
      values.map((value) => ({ value })),
    )
  }

  async append(name: string, partition: number, records: readonly PlainRecord[]): Promise<void> {
    const topic = this.engine.findTopic(name) ?? (await this.engine.createTopic({ name, partitionCount: 1 }))
    const parts = records.map((record) => partsOf({ timestamp: this.clock.now(), ...record }))
    await this.engine.append(topic, partition, [sealBatch(parts, { compression: 'none' })], 'all')
  }

  /** `topic-partition=offset` */
  async committed(group = 'g'): Promise<string[]> {
    const all = await this.engine.groups.committed(group)
    return all.map(({ topic, partition, offset }) => `${topic}-${partition}=${offset}`).sort()
  }

  /** What is under way without waiting for time comes to its end. */
  async settle(turns = 20): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await turnOfTheLoop()
  }

  /** Until it is so, which takes no time of the clock. */
  async until(isSo: () => Promise<boolean> | boolean): Promise<void> {
    for (let turn = 0; !(await isSo()); turn++) {
      if (turn === 2_000) throw new Error(`it does not come to be: ${isSo}`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  /** As if nobody had been there for a while. */
  async leave(group = 'g'): Promise<void> {
    for (let step = 0; step < 4; step++) await this.advance(15_000)
    await this.until(async () => (await this.engine.groups.describe(group))?.state === 'Empty')
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms)
    await this.settle()
  }

  async close(): Promise<void> {
    try {
      await this.polls.close()
      await this.members.close()
    } finally {
      await this.engine.close()
    }
  }
}

export async function openPollBench(
  t: Pick<TestContext, 'after'>,
  {
    partitions = 1,
    dataDir = temporaryDirectory(t),
    clock = new FakeClock(),
    changes = {},
  }: {
    readonly partitions?: number
    readonly dataDir?: string
    readonly clock?: FakeClock
    readonly changes?: Partial<LocalEngineOptions>
  } = {},
): Promise<PollBench> {
  const engine = await openLocalEngine(engineOptions(dataDir, { clock, ...changes }))
  const bench = new PollBench(dataDir, clock, engine)
  t.after(() => bench.close())
  if (engine.findTopic('jobs') === undefined) await engine.createTopic({ name: 'jobs', partitionCount: partitions })
  return bench
}
