// The heads of all tails, by what they read. One listener tells them what is appended, one what becomes of topics; one timer
// is for all partitions that cannot be read. A head is there while it has tails, or somebody is on the way to it.

import type { Engine, Topic } from '../../engine/engine.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { PARTITION_FAULT_PAUSE_MS } from '../../kernel/limits.ts'
import type { Subscription } from '../groups/group-member.ts'
import { TopicMatcher, TopicWishes } from '../groups/topic-pattern.ts'
import { AppendTargets } from '../read/append-targets.ts'
import type { TopicOffset } from '../read/partition-offset.ts'
import { allPartitions, getTopic } from '../read/read-start.ts'
import type { TailStand } from './live-tail.ts'
import type { TailSources } from './tail.ts'
import { TailHead } from './tail-head.ts'
import type { LayoutTopic } from './tail-layout.ts'
import { TailLayout } from './tail-layout.ts'
import type { TailStart } from './tail-start.ts'
import { offsetsOf, tryListOffsets } from './tail-start.ts'
import type { TailTurns } from './tail-turns.ts'

export interface TailHeadsParts {
  readonly engine: Engine
  readonly clock: Clock
  readonly turns: TailTurns
  /** None of its tails is behind. */
  readonly idle: (head: TailHead) => void
}

interface HeldHead {
  readonly head: TailHead
  /** The ends are known. */
  readonly ready: Promise<void>
  /** Of a pattern. */
  readonly wishes: TopicWishes | undefined
  /** How many are on the way to it. */
  pins: number
}

export class TailHeads {
  readonly #parts: TailHeadsParts
  readonly #matcher: TopicMatcher
  readonly #appends = new AppendTargets()
  readonly #heads = new Map<string, HeldHead>()
  /** Some of their partitions could not be read; when they are to be tried again. */
  readonly #faulted = new Map<TailHead, number>()
  readonly #endListening: readonly (() => void)[]
  #retry: Timer | undefined
  #following = Promise.resolve()

  constructor(parts: TailHeadsParts) {
    const { engine, clock } = parts
    this.#parts = parts
    this.#matcher = new TopicMatcher(engine, clock)
    this.#endListening = [
      engine.onAppend((topic, partition, highWatermark) => this.#appends.appended(topic, partition, highWatermark)),
      engine.onTopicsChanged(() => this.#topicsChanged()),
    ]
  }

  /** invalid_request: a pattern that is none. */
  async matching(subscription: Subscription): Promise<readonly { readonly topic: Topic }[]> {
    return await this.#follow(new TopicWishes([subscription], this.#matcher))
  }

  async #follow(wishes: TopicWishes): Promise<readonly { readonly topic: Topic }[]> {
    await wishes.follow(this.#matcher)
    return wishes.topics.flatMap((name) => {
      const topic = this.#parts.engine.findTopic(name)
      return topic === undefined ? [] : [{ topic }]
    })
  }

  /** Calls back where a start is, when the ends are known. */
  async withStand<Result>(
    start: TailStart,
    sources: TailSources,
    batchWaitMs: number,
    use: (stand: TailStand) => Result,
  ): Promise<Result> {
    const pattern = sources.kind === 'pattern' ? sources.subscription : undefined
    const held = this.#hold(this.#stillThere(start.topics, sources), pattern, batchWaitMs)
    held.pins++
    try {
      await held.ready
      // who was not there when it was told that a topic went is told here
      this.#cover(held.head, this.#stillThere(start.topics, sources))
      return use(standOf(held.head, offsetsOf(start), start.turn))
    } finally {
      held.pins--
      this.left(held.head)
    }
  }

  /** Of partitions by name; their ends come later. */
  standAt(offsets: readonly TopicOffset[], batchWaitMs: number): TailStand {
    const byTopic = Map.groupBy(offsets, ({ topic }) => topic.id)
    const topics = [...byTopic.values()].map((ofTopic): LayoutTopic => {
      const partitions = [...new Set(ofTopic.map(({ partition }) => partition))].sort((left, right) => left - right)
      return { topic: (ofTopic[0] as TopicOffset).topic, whole: false, partitions }
    })
    const { head } = this.#hold(topics, undefined, batchWaitMs)
    return standOf(head, offsets, 0)
  }

  /** One tail less. */
  left(head: TailHead): void {
    if (head.isIdle) this.#parts.idle(head)
    const held = this.#heads.get(head.key)
    if (held?.head !== head || head.tails.size > 0 || held.pins > 0) return
    this.#heads.delete(head.key)
    this.#faulted.delete(head)
    this.#listen(head.layout, head, 'delete')
  }

  close(): void {
    for (const end of this.#endListening) end()
    this.#retry?.cancel()
  }

  #hold(topics: readonly LayoutTopic[], pattern: Subscription | undefined, batchWaitMs: number): HeldHead {
    const layout = new TailLayout(topics)
    const what = pattern === undefined ? layout.key : `pattern ${JSON.stringify(pattern)}`
    const key = `${batchWaitMs} ${what}`
    const known = this.#heads.get(key)
    if (known !== undefined) return known
    const { clock, turns } = this.#parts
    const head = new TailHead(key, layout, batchWaitMs, { clock, turns, faulted: (one) => this.#retryLater(one) })
    const wishes = pattern === undefined ? undefined : new TopicWishes([pattern], this.#matcher)
    this.#listen(layout, head, 'add')
    const ready = this.#learnEnds(head).then(() => head.endsKnown())
    const held: HeldHead = { head, ready, wishes, pins: 0 }
    this.#heads.set(key, held)
    return held
  }

  /** Those of a pattern; of others unknown_topic_or_partition, topic_recreated. */
  #stillThere<Each extends LayoutTopic>(topics: readonly Each[], sources: TailSources): readonly Each[] {
    const { engine } = this.#parts
    if (sources.kind === 'pattern') return topics.filter(({ topic }) => engine.findTopic(topic.name)?.id === topic.id)
    for (const { topic } of topics) {
      if (getTopic(engine, topic.name).id === topic.id) continue
      throw new TailraceError('topic_recreated', `topic '${topic.name}' was deleted and made again just now`)
    }
    return topics
  }

  /** What a new tail reads may be newer than what its head has heard of. */
  #cover(head: TailHead, topics: readonly LayoutTopic[]): void {
    const { layout } = head
    const isCovered = topics.every(({ topic, partitions }) => {
      return partitions.every((partition) => layout.find(topic.id, partition) >= 0)
    })
    if (isCovered) return
    const ids = new Set(topics.map(({ topic }) => topic.id))
    this.#relay(head, [...layout.topics.filter(({ topic }) => !ids.has(topic.id)), ...topics])
  }

  #relay(head: TailHead, topics: readonly LayoutTopic[]): void {
    const before = head.layout
    const layout = new TailLayout(topics, before)
    this.#listen(before, head, 'delete')
    this.#listen(layout, head, 'add')
    this.#parts.idle(head)
    head.relay(layout)
    void this.#learnEnds(head, before)
  }

  #listen({ slots }: TailLayout, head: TailHead, change: 'add' | 'delete'): void {
    for (const slot of slots) this.#appends[change](slot, head)
  }

  /** Of those slots that were not there before; appends may have told it meanwhile. */
  async #learnEnds(head: TailHead, before?: TailLayout): Promise<void> {
    const { layout } = head
    for (const { topic, partitions } of layout.topics) {
      const fresh = partitions.filter((partition) => before === undefined || before.find(topic.id, partition) < 0)
      if (fresh.length === 0) continue
      const ends = await tryListOffsets(this.#parts.engine, topic, fresh, 'latest')
      for (const [index, partition] of fresh.entries()) {
        // it may have been laid anew
        const at = head.layout.find(topic.id, partition)
        const end = ends[index]
        if (at >= 0 && end === undefined) head.endUnknown(at)
        else if (at >= 0) head.raise(at, end as number)
      }
    }
  }

  #topicsChanged(): void {
    this.#matcher.topicsChanged()
    for (const { head, wishes } of [...this.#heads.values()]) if (wishes === undefined) this.#lookAtTopics(head)
    this.#following = this.#following.then(() => this.#followPatterns())
  }

  #lookAtTopics(head: TailHead): void {
    const { engine } = this.#parts
    const now = head.layout.topics.map((one) => ({ ...one, topic: engine.findTopic(one.topic.name) ?? one.topic }))
    const isGone = head.layout.topics.some(({ topic }) => engine.findTopic(topic.name)?.id !== topic.id)
    if (isGone) {
      for (const tail of [...head.tails]) tail.topicDeleted()
      return
    }
    if (now.every(({ topic, whole, partitions }) => !whole || topic.partitionCount === partitions.length)) return
    this.#relay(head, now.map(grown))
  }

  async #followPatterns(): Promise<void> {
    for (const { head, wishes } of [...this.#heads.values()]) {
      if (wishes === undefined) continue
      const topics = (await this.#follow(wishes)).map(({ topic }) => grown({ topic, whole: true, partitions: [] }))
      // its last tail may have left meanwhile
      if (this.#heads.get(head.key)?.head !== head) continue
      const isSame = (one: LayoutTopic, at: number) => {
        const known = head.layout.topics[at]
        return known?.topic.id === one.topic.id && known.partitions.length === one.partitions.length
      }
      if (topics.length !== head.layout.topics.length || !topics.every(isSame)) this.#relay(head, topics)
    }
  }

  #retryLater(head: TailHead): void {
    const { clock } = this.#parts
    this.#faulted.set(head, clock.monotonic() + PARTITION_FAULT_PAUSE_MS)
    this.#retry ??= clock.after(PARTITION_FAULT_PAUSE_MS, () => this.#retryFaults())
  }

  #retryFaults(): void {
    const { clock } = this.#parts
    const now = clock.monotonic()
    this.#retry = undefined
    let nextAt = Number.POSITIVE_INFINITY
    for (const [head, retryAt] of [...this.#faulted]) {
      if (retryAt > now) {
        nextAt = Math.min(nextAt, retryAt)
        continue
      }
      this.#faulted.delete(head)
      head.retryFaults()
    }
    if (nextAt < Number.POSITIVE_INFINITY) this.#retry ??= clock.after(nextAt - now, () => this.#retryFaults())
  }
}

function grown({ topic, whole, partitions }: LayoutTopic): LayoutTopic {
  return { topic, whole, partitions: whole ? allPartitions(topic) : partitions }
}

function standOf(head: TailHead, offsets: readonly TopicOffset[], turn: number): TailStand {
  const { layout } = head
  const vector = new Float64Array(layout.slots.length)
  for (const { topic, partition, offset } of offsets) {
    const at = layout.find(topic.id, partition)
    if (at >= 0) vector[at] = offset
  }
  return { head, place: head.placeAt(vector, turn) }
}
