// Those who write while the server is killed. Unnamed ones send each request once: a request of theirs that was cut may be
// stored or not. Named ones repeat the very same request until it is answered, however many servers that takes.

import assert from 'node:assert/strict'
import type { Random } from '../support/random.ts'
import type { Answer, KillClient } from './kill-client.ts'
import { Cut } from './kill-client.ts'
import type { Ledger, SentRecord, SentRequest, TopicLife } from './kill-ledger.ts'

const KEYS = 24

/** Values tell whose they are: {"q":request,"i":record,"n":records,"x":padding}. */
export function makeRecords(random: Random, topic: TopicLife): (number: number) => SentRecord[] {
  const count = random.chance(0.5) ? 1 : 2 + random.below(8)
  const keyedShare = random.pick([0, 1, 1, 0.5])
  const partition = random.chance(0.1) ? random.below(topic.partitionCounts[0] as number) : -1
  const paddingMax = random.chance(0.03) ? 20_000 : 300
  return (number) =>
    Array.from({ length: count }, (_, at) => ({
      key: random.chance(keyedShare) ? `k${random.below(KEYS)}` : null,
      partition,
      value: `{"q":${number},"i":${at},"n":${count},"x":"${'x'.repeat(random.below(paddingMax))}"}`,
    }))
}

function bodyOf({ records }: SentRequest): string {
  const parts = records.map(({ key, partition, value }) => {
    const place = partition < 0 ? '' : `"partition":${partition},`
    return `{${place}"key":${JSON.stringify(key)},"value":${value}}`
  })
  return `{"records":[${parts.join(',')}]}`
}

function pathOf({ topic }: SentRequest, acks: string): string {
  return `/v1/topics/${topic.name}/records?acks=${acks}`
}

interface Produced {
  readonly records: readonly { readonly partition: number; readonly offset: number | null }[]
  readonly duplicate?: boolean
}

function notePlaces(request: SentRequest, { records }: Produced): void {
  assert.equal(records.length, request.records.length, `${request.about}: as many results as records`)
  for (const [at, { partition, offset }] of records.entries()) {
    assert.ok(offset !== null, `${request.about}: an answer without offsets`)
    request.place(at, { partition, offset })
  }
}

/** The codes of a 503 that say that nothing was stored. */
const REFUSALS = ['shutting_down', 'overloaded']

/** One request of nobody, sent once. Throws Cut when no answer came. */
export async function produceOnce(
  client: KillClient,
  ledger: Ledger,
  random: Random,
  topic: TopicLife,
  records = makeRecords(random, topic),
): Promise<void> {
  const acks = random.pick(['all', 'all', '1', '1', '0'])
  const request = ledger.send(topic, records)
  const hangUp = random.chance(0.02)
  let answer: Answer
  try {
    answer = await client.request('POST', pathOf(request, acks), { body: bodyOf(request), hangUp })
  } catch (error) {
    if (hangUp && error instanceof Cut) return
    throw error
  }
  const { status, text } = answer
  if (status === 200 && acks === '0') request.settle('taken')
  else if (status === 200) {
    notePlaces(request, answer.json())
    request.settle('acknowledged')
    ledger.acknowledged++
  } else if (status === 503 && REFUSALS.includes(answer.json().code)) request.settle('refused')
  else if (status === 404 && topic.state !== 'alive') request.settle('unknown')
  else assert.fail(`${request.about}: answered ${status} ${text}`)
}

export class NamedProducer {
  readonly #name: string
  readonly #topic: TopicLife
  readonly #ledger: Ledger
  readonly #random: Random
  /** Requests at once. */
  readonly #window: number
  #epoch = 0
  #sequence = 0
  #unanswered: SentRequest[] = []
  #answered: SentRequest[] = []

  constructor(
    name: string,
    parts: {
      readonly topic: TopicLife
      readonly ledger: Ledger
      readonly random: Random
      readonly window: number
    },
  ) {
    this.#name = name
    this.#topic = parts.topic
    this.#ledger = parts.ledger
    this.#random = parts.random
    this.#window = parts.window
  }

  /** Until Cut. */
  async run(client: KillClient): Promise<void> {
    while (true) {
      await this.deliver(client)
      if (this.#random.chance(0.15)) await this.#repeat(client)
      if (this.#random.chance(0.03)) this.#nextEpoch()
      await this.#sendSome(client)
    }
  }

  /** What has no answer yet, one after the other. */
  async deliver(client: KillClient): Promise<void> {
    while (this.#unanswered.length > 0) {
      const request = this.#unanswered[0] as SentRequest
      await this.#attempt(client, request, 'in turn')
      this.#unanswered = this.#unanswered.filter(({ outcome }) => outcome !== 'acknowledged')
    }
  }

  async #sendSome(client: KillClient): Promise<void> {
    const requests = Array.from({ length: 1 + this.#random.below(this.#window) }, () => this.#make())
    this.#unanswered.push(...requests)
    const how = requests.length === 1 ? 'in turn' : 'at once'
    const attempts = await Promise.allSettled(requests.map((request) => this.#attempt(client, request, how)))
    this.#unanswered = requests.filter(({ outcome }) => outcome !== 'acknowledged')
    const failures = attempts.filter((attempt) => attempt.status === 'rejected').map(({ reason }) => reason)
    const worst = failures.find((error) => !(error instanceof Cut)) ?? failures[0]
    if (worst !== undefined) throw worst
  }

  #make(): SentRequest {
    const producer = { name: this.#name, epoch: this.#epoch, sequence: this.#sequence++ }
    return this.#ledger.send(this.#topic, makeRecords(this.#random, this.#topic), producer)
  }

  #nextEpoch(): void {
    this.#epoch++
    this.#sequence = 0
    this.#answered = []
  }

  /** As after a lost reply: one of the last five numbers. */
  async #repeat(client: KillClient): Promise<void> {
    this.#answered = this.#answered.filter(({ producer }) => (producer?.sequence ?? 0) >= this.#sequence - 5)
    if (this.#answered.length > 0) await this.#attempt(client, this.#random.pick(this.#answered), 'again')
  }

  async #attempt(client: KillClient, request: SentRequest, how: 'in turn' | 'at once' | 'again'): Promise<void> {
    const { producer } = request
    const headers = {
      'producer-id': this.#name,
      'producer-epoch': String(producer?.epoch),
      'producer-seq': String(producer?.sequence),
    }
    const hangUp = this.#random.chance(0.04)
    const options = { body: bodyOf(request), headers, hangUp }
    let answer: Answer
    try {
      answer = await client.request('POST', pathOf(request, this.#random.pick(['all', '1'])), options)
    } catch (error) {
      if (hangUp && error instanceof Cut) return
      throw error
    }
    const about = `${request.about}, sent ${how}: answered ${answer.status} ${answer.text}`
    if (answer.status === 503 && REFUSALS.includes(answer.json().code)) return
    // It may have come before its predecessor.
    if (answer.status === 409 && how === 'at once') return
    assert.equal(answer.status, 200, about)
    const produced: Produced = answer.json()
    notePlaces(request, produced)
    if (how === 'again') assert.equal(produced.duplicate, true, about)
    if (request.outcome === 'acknowledged') return
    request.settle('acknowledged')
    this.#ledger.acknowledged++
    this.#answered.push(request)
  }
}
