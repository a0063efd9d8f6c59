// One random history: steps of several clients at once, in some of which operations of the disk or commits fail, or the
// power goes or the process is killed at some operation; starts, which may meet the same; clean stops. Each step draws all
// from its own seed, so that a history which breaks a promise is made shorter by leaving steps out.

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Random } from '../support/random.ts'
import { FaultActions } from './fault-actions.ts'
import { FaultWorld, within } from './fault-world.ts'

const SHRINKING_RUNS_MAX = 300

export type Statistics = Map<string, number>

/** The seeds of a history's steps. */
function stepsOf(seed: number, count: number): number[] {
  const random = new Random(seed)
  return Array.from({ length: count }, () => random.below(0x1_0000_0000))
}

/** Runs the history of a seed; throws with the fewest steps that break a promise, as found by leaving some out. */
export async function runFaultHistory(
  seed: number,
  stepCount: number,
  dataDir: string,
  statistics: Statistics,
): Promise<void> {
  const steps = stepsOf(seed, stepCount)
  const failure = await failureOf(steps, dataDir, statistics)
  if (failure === undefined) return
  const shortest = await shrink(steps, dataDir)
  const last = (await failureOf(shortest, dataDir, new Map())) ?? failure
  throw new Error(`steps ${shortest.join(' ')}: ${last.message}`, { cause: last })
}

/** To look into one that was found. */
export async function runFaultSteps(steps: readonly number[], dataDir: string, statistics: Statistics): Promise<void> {
  // each its own: one that failed may hold its lock
  const ownDir = mkdtempSync(join(dataDir, 'history-'))
  const world = new FaultWorld(ownDir)
  const history = new FaultHistory(world)
  try {
    await history.run(steps)
  } catch (error) {
    const { message } = error as Error
    throw new Error(`${message}\nwhat happened last:\n${world.trace.join('\n')}`, { cause: error })
  } finally {
    rmSync(ownDir, { recursive: true, force: true })
    world.countMaintenance()
    for (const [what, count] of world.statistics) statistics.set(what, (statistics.get(what) ?? 0) + count)
  }
}

async function failureOf(
  steps: readonly number[],
  dataDir: string,
  statistics: Statistics,
): Promise<Error | undefined> {
  try {
    await runFaultSteps(steps, dataDir, statistics)
    return undefined
  } catch (error) {
    return error as Error
  }
}

async function shrink(steps: readonly number[], dataDir: string): Promise<readonly number[]> {
  let shortest = steps
  let runs = 0
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < shortest.length && runs < SHRINKING_RUNS_MAX; ) {
      const fewer = [...shortest.slice(0, at), ...shortest.slice(at + size)]
      runs++
      if ((await failureOf(fewer, dataDir, new Map())) !== undefined) shortest = fewer
      else at += size
    }
  }
  return shortest
}

class FaultHistory {
  readonly #world: FaultWorld
  readonly #actions: FaultActions

  constructor(world: FaultWorld) {
    this.#world = world
    this.#actions = new FaultActions(world)
  }

  async run(steps: readonly number[]): Promise<void> {
    await this.#world.begin(new Random(steps[0] ?? 0))
    try {
      for (const seed of steps) await this.#step(new Random(seed))
      await this.#world.crash('power', new Random(steps.at(-1) ?? 0))
      await this.#actions.check()
    } finally {
      await within('the end', this.#world.life.engine.close())
    }
  }

  async #step(random: Random): Promise<void> {
    const world = this.#world
    const kind = random.next()
    if (kind < 0.06) {
      await world.stop(random)
      return this.#actions.check()
    }
    const { life } = world
    const end = random.chance(0.75) ? 'power' : 'process'
    if (random.chance(0.2)) this.#arrangeFaults(random)
    if (random.chance(0.2)) {
      life.disk.faults.cutAfter(1 + random.below(40), () => {
        life.disk.unplug()
        life.databases.freeze()
      })
    }
    await within('a step', this.#clients(random))
    for (let turns = random.below(10); turns > 0; turns--) await nextTurn()
    life.disk.faults.end()
    life.disk.faults.cancelCut()
    life.databases.heal()
    if (!life.isOver && random.chance(0.3)) life.databases.keepIndexCopy()
    if (life.isOver || kind > 0.95) {
      await world.crash(end, random)
      await this.#actions.check()
    }
  }

  async #clients(random: Random): Promise<void> {
    const { clock } = this.#world
    const clients: Promise<void>[] = []
    for (let left = 1 + random.below(4); left > 0; left--) clients.push(this.#actions.act(random, left === 1))
    if (random.chance(0.4)) {
      const ms = random.pick([100, 600, 10_000, 400_000, 4_000_000])
      this.#world.note(`the clock goes on by ${ms} ms`)
      clock.advance(ms)
    }
    await Promise.all(clients)
  }

  #arrangeFaults(random: Random): void {
    const { life } = this.#world
    const kind = random.next()
    if (kind < 0.8) {
      const only = random.pick([undefined, /sync/, /write|create/, /rename|remove|folder/, /read|open|list|size/])
      life.disk.faults.failByChance(random.pick([0.02, 0.1, 0.5]), random, only)
      return
    }
    life.hadOtherFaults = true
    if (kind < 0.87) {
      this.#world.count('meta.db failed')
      life.databases.failMeta(random)
    } else {
      const which = random.pick(['meta', 'index'] as const)
      this.#world.count(`${which}.db full`)
      life.databases.fill(which)
    }
  }
}
