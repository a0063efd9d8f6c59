// Group tails on a real log, beside everything else that has members: with a clock that moves only when told.

import type { TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import type { CommittedOffset } from '../../src/engine/group-protocol.ts'
import { GROUP_TAIL_JOIN_MS_MAX } from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import type { GroupTail, GroupTailRequest } from '../../src/service/group-tails/group-tail.ts'
import { createGroupTailService } from '../../src/service/group-tails/group-tails.ts'
import type { AssignorName } from '../../src/service/groups/group-member.ts'
import { createTailService } from '../../src/service/tail/tails.ts'
import type { PollBench } from './poll-bench.ts'
import { caller, openPollBench } from './poll-bench.ts'
import { TailGiven, WORDS } from './tail-given.ts'

export type Asked = Partial<Omit<GroupTailRequest, 'reader' | 'connection'>>

export interface TestTail {
  readonly tail: GroupTail
  readonly given: TailGiven
}

export interface GroupTailBench {
  readonly polls: PollBench
  open(asked?: Asked, connection?: object, given?: TailGiven): Promise<TestTail>
  /** Records v`from` to before v`to` of topic jobs. */
  values(partition: number, from: number, to: number): Promise<void>
  committed(): Promise<readonly CommittedOffset[]>
}

export async function openGroupTailBench(
  t: TestContext,
  {
    partitions = 2,
    assignors = ['cooperative-sticky'],
  }: { partitions?: number; assignors?: readonly AssignorName[] } = {},
): Promise<GroupTailBench> {
  const polls = await openPollBench(t, { partitions })
  const { engine, clock, members } = polls
  const tails = createTailService({ engine, clock, telemetry: new Telemetry(), logger: silentLogger })
  const groupTails = createGroupTailService({
    engine,
    members,
    tails,
    groupPolls: polls.polls,
    assignors,
    sessionTimeoutMsMin: 1_000,
    sessionTimeoutMsMax: 1_800_000,
    clock,
  })
  const opened: GroupTail[] = []
  // before the engine is closed
  t.after(async () => {
    await Promise.all(opened.map((tail) => tail.leave()))
    await groupTails.close()
    await tails.close()
  })
  return {
    polls,
    async open(asked = {}, connection = {}, given = new TailGiven()) {
      const opening = groupTails.open({
        caller: { ...caller, host: '127.0.0.1' },
        groupId: 'g',
        member: '',
        instance: undefined,
        subscription: { topics: ['jobs'] },
        from: { kind: 'earliest' },
        sessionTimeoutMs: 10_000,
        releaseMs: 5_000,
        autoCommitMs: undefined,
        onGap: 'earliest',
        overflow: 'pause',
        batchRecords: 100,
        batchWaitMs: 0,
        form: WORDS,
        connection,
        reader: given,
        ...asked,
      })
      // one that has to wait for others is there before they have given up what is to be its own
      const isSlow = await Promise.race([opening.then(() => false), setTimeout(150, true)])
      if (isSlow) clock.advance(GROUP_TAIL_JOIN_MS_MAX)
      const tail = await opening
      opened.push(tail)
      return { tail, given }
    },
    values: (partition, from, to) =>
      polls.produce('jobs', partition, ...Array.from({ length: to - from }, (_, at) => `v${from + at}`)),
    committed: () => engine.groups.committed('g'),
  }
}
