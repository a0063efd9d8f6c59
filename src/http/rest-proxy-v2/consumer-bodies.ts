// The bodies of calls to a consumer: what to subscribe to, which partitions, which offsets.

import { parseIsoTime } from '../../codec/iso-time.ts'
import type { GroupPartition, OffsetToCommit } from '../../engine/group-protocol.ts'
import { partitionKey } from '../../engine/partition-key.ts'
import { checkTopicName } from '../../engine/topic-name.ts'
import { CONSUMER_PARTITIONS_MAX, CONSUMER_TOPICS_MAX } from '../../kernel/limits.ts'
import type { SeekTarget } from '../../service/consumers/consumer-start.ts'
import type { Subscription } from '../../service/groups/group-member.ts'
import { restProxyFailure } from './failure.ts'
import { JsonFields, OFFSETS, PARTITIONS } from './json-fields.ts'

/** Undefined, for no topics at all: that is to have no subscription, as in Kafka's client. */
export function parseSubscription(body: unknown): Subscription | undefined {
  const fields = new JsonFields(needed(body), ['topics', 'topic_pattern'])
  const topics = fields.list('topics', CONSUMER_TOPICS_MAX, (item, place) => {
    if (typeof item !== 'string') throw restProxyFailure(422, `${place} must be text`)
    checkTopicName(item)
    return item
  })
  if (topics !== undefined) return topics.length === 0 ? undefined : { topics: [...new Set(topics)] }
  const pattern = fields.text('topic_pattern')
  if (pattern === undefined || pattern === '') throw restProxyFailure(422, 'topics or topic_pattern must be given')
  return { pattern }
}

/** Each once. */
export function parsePartitions(body: unknown): readonly GroupPartition[] {
  const fields = new JsonFields(needed(body), ['partitions'])
  const partitions = fields.list('partitions', CONSUMER_PARTITIONS_MAX, (item, place) =>
    partitionOf(new JsonFields(item, ['topic', 'partition'], place)),
  )
  if (partitions === undefined) throw fields.missing('partitions')
  return [...new Map(partitions.map((each) => [partitionKey(each.topic, each.partition), each])).values()]
}

/** Undefined: all that was consumed. An offset is that of the last record that was dealt with; with Redpanda's member, of the next. */
export function parseCommit(body: unknown): readonly OffsetToCommit[] | undefined {
  if (body === undefined) return undefined
  const fields = new JsonFields(body, ['offsets', 'partitions'])
  const read = (name: string, added: number) =>
    fields.list(name, CONSUMER_PARTITIONS_MAX, (item, place): OffsetToCommit => {
      const each = new JsonFields(item, ['topic', 'partition', 'offset', 'metadata'], place)
      return { ...partitionOf(each), offset: offsetOf(each) + added, metadata: each.text('metadata') ?? '' }
    })
  const last = read('offsets', 1)
  const next = read('partitions', 0)
  if (last !== undefined && next !== undefined) throw restProxyFailure(422, 'offsets and partitions exclude each other')
  return last ?? next
}

export function parseSeek(body: unknown): readonly SeekTarget[] {
  const fields = new JsonFields(needed(body), ['offsets', 'timestamps'])
  const offsets = fields.list('offsets', CONSUMER_PARTITIONS_MAX, (item, place): SeekTarget => {
    const each = new JsonFields(item, ['topic', 'partition', 'offset', 'metadata'], place)
    return { ...partitionOf(each), to: offsetOf(each) }
  })
  const timestamps = fields.list('timestamps', CONSUMER_PARTITIONS_MAX, (item, place): SeekTarget => {
    const each = new JsonFields(item, ['topic', 'partition', 'timestamp'], place)
    return { ...partitionOf(each), to: { timestamp: timestampOf(each) } }
  })
  return [...(offsets ?? []), ...(timestamps ?? [])]
}

function needed(body: unknown): unknown {
  if (body === undefined) throw restProxyFailure(422, 'the request has no body; a JSON object is needed')
  return body
}

function partitionOf(fields: JsonFields): GroupPartition {
  const topic = fields.text('topic')
  if (topic === undefined) throw fields.missing('topic')
  checkTopicName(topic)
  const partition = fields.integer('partition', PARTITIONS)
  if (partition === undefined) throw fields.missing('partition')
  return { topic, partition }
}

function offsetOf(fields: JsonFields): number {
  const offset = fields.integer('offset', OFFSETS)
  if (offset === undefined) throw fields.missing('offset')
  return offset
}

/** Text in ISO 8601, or a number of seconds since 1970. In ms. */
function timestampOf(fields: JsonFields): number {
  const value = fields.value('timestamp')
  if (value === undefined) throw fields.missing('timestamp')
  const ms = typeof value === 'number' ? value * 1000 : typeof value === 'string' ? timeOf(value) : undefined
  if (ms !== undefined && Math.abs(ms) <= Number.MAX_SAFE_INTEGER) return Math.ceil(ms)
  throw fields.fault('timestamp', 'must be an ISO 8601 time or a number of seconds')
}

function timeOf(text: string): number | undefined {
  return /^-?\d{1,12}(\.\d{1,9})?$/.test(text) ? Number(text) * 1000 : parseIsoTime(text)
}
