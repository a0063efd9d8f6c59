// Those who read while the server is killed: pages by cursor with long polls, from all kinds of positions. What they see
// goes to the ledger; a page must go on exactly where its cursor stood, over servers and added partitions.

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '../support/random.ts'
import type { Answer, KillClient } from './kill-client.ts'
import type { Ledger, SeenRecord, TopicLife } from './kill-ledger.ts'

interface Page {
  readonly records: readonly SeenRecord[]
  readonly cursor: string
  readonly caught_up: boolean
  readonly partitions: readonly {
    readonly partition: number
    readonly start_offset: number
    readonly end_offset: number
    readonly next_offset: number
  }[]
  readonly gaps?: unknown
}

export class PageReader {
  readonly #ledger: Ledger
  readonly #random: Random
  readonly #name: string
  /** undefined: topics of that name come and go. */
  readonly #topic: TopicLife | undefined
  #cursor: string | undefined
  #nextOffsets = new Map<number, number>()
  #isWhole = true
  #filter = ''

  constructor(ledger: Ledger, random: Random, topic: TopicLife | string) {
    this.#ledger = ledger
    this.#random = random
    this.#name = typeof topic === 'string' ? topic : topic.name
    this.#topic = typeof topic === 'string' ? undefined : topic
  }

  /** Until Cut; the next run goes on from the last cursor. */
  async run(client: KillClient): Promise<void> {
    while (true) {
      const start = this.#cursor === undefined ? this.#chooseStart() : `cursor=${this.#cursor}`
      const how = `limit=${1 + this.#random.below(400)}&wait_ms=${this.#random.below(2_000)}&value_format=string`
      const answer = await client.request('GET', `/v1/topics/${this.#name}/records?${start}&${how}${this.#filter}`)
      if (answer.status === 200) this.#take(answer.json(), start)
      else await this.#takeRefusal(answer, start)
      if (this.#random.chance(0.01)) this.#cursor = undefined
    }
  }

  #chooseStart(): string {
    this.#nextOffsets = new Map()
    this.#isWhole = true
    this.#filter = this.#random.chance(0.2) ? `&key=k${this.#random.below(24)}` : ''
    const kind = this.#random.below(6)
    if (kind === 0) return 'from=latest'
    if (kind === 1) return `from=-${1 + this.#random.below(500)}`
    if (kind === 2) return `from=${encodeURIComponent(new Date(Date.now() - this.#random.below(4_000)).toISOString())}`
    if (kind > 3 || this.#topic === undefined) return 'from=earliest'
    this.#isWhole = false
    const partition = this.#random.below(this.#topic.partitionCounts[0] as number)
    return `partition=${partition}&from=${this.#random.below(1 + (this.#topic.places[partition]?.length ?? 0))}`
  }

  #take(page: Page, start: string): void {
    const about = `${this.#name} read by ${start}${this.#filter}`
    const isFirst = this.#nextOffsets.size === 0
    assert.equal(page.gaps, undefined, `${about}: nothing was removed`)
    for (const record of page.records) {
      const { partition, offset } = record
      const topic = this.#ledger.see(record)
      if (this.#topic !== undefined) assert.equal(topic, this.#topic, `${about}: a record of another topic`)
      if (this.#filter !== '') continue
      // A partition that was not there when the cursor was made is read from its start.
      const next = this.#nextOffsets.get(partition) ?? (isFirst || !this.#isWhole ? offset : 0)
      assert.equal(offset, next, `${about}: partition ${partition} goes on at ${next}`)
      this.#nextOffsets.set(partition, offset + 1)
    }
    for (const { partition, next_offset: next, end_offset: end } of page.partitions) {
      // A topic that is deleted while a page of it is read has no ends any more; the next page is refused.
      if (this.#topic === undefined && end < 0) continue
      const known = this.#nextOffsets.get(partition)
      if (this.#filter === '' && known !== undefined) {
        assert.equal(next, known, `${about}: the cursor of ${partition} stands behind its records`)
      }
      assert.ok(next <= end, `${about}: ${partition} ends at ${end}, the cursor is at ${next}`)
      this.#nextOffsets.set(partition, next)
      this.#topic?.seeEnd(partition, end)
    }
    this.#cursor = page.cursor
  }

  async #takeRefusal({ status, text, json }: Answer, start: string): Promise<void> {
    const isComing = this.#topic === undefined && (status === 404 || status === 410)
    const isEnding = status === 503 && json().code === 'shutting_down'
    assert.ok(isComing || isEnding, `${this.#name} read by ${start}: answered ${status} ${text}`)
    if (!isComing) return
    this.#cursor = undefined
    await delay(10)
  }
}

/** A whole topic, by pages from its start. */
export async function readTopic(client: KillClient, name: string, limit: number) {
  const records: SeenRecord[] = []
  let start = 'from=earliest'
  while (true) {
    const answer = await client.request('GET', `/v1/topics/${name}/records?${start}&limit=${limit}&value_format=string`)
    assert.equal(answer.status, 200, `${name}: ${answer.text}`)
    const page: Page = answer.json()
    records.push(...page.records)
    if (page.caught_up) {
      const starts = page.partitions.map(({ start_offset: start }) => start)
      const ends = page.partitions.map(({ end_offset: end }) => end)
      return { records, starts, ends }
    }
    start = `cursor=${page.cursor}`
  }
}
