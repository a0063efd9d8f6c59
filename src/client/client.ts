// A client of the v1 API: one method for each of its operations, and nothing kept between two calls but connections.
// It knows nothing of the server's rooms. Failures are TailraceClientErrors. Nothing is tried again here:
// named-producer.ts repeats what may be repeated.

import { foregroundClock } from '../kernel/clock.ts'
import type {
  AckLeaseRequest,
  Acks,
  AvroUnions,
  ClusterDescription,
  CreateTopicRequest,
  DeletedRecords,
  GroupDescription,
  GroupSummary,
  ImportReport,
  LeaseStatus,
  OffsetsReset,
  OpenLease,
  PartitionOffset,
  PollGroupRequest,
  ProduceRecord,
  ProduceResponse,
  RecordEncoding,
  ResetOffsetsRequest,
  TopicDescription,
  TopicSummary,
  UpdateTopicRequest,
} from './api.ts'
import { TailraceClientError } from './client-error.ts'
import type { Call, Fetch } from './http-call.ts'
import { callForBody, callForChunks } from './http-call.ts'
import type { WebSocketClass } from './live-socket.ts'
import { textOf } from './raw-json.ts'
import type { GroupPoll, RecordPage } from './record-page.ts'
import { parseGroupPoll, parseRecordPage, RawRecord } from './record-page.ts'
import { parseServerUrl } from './server-url.ts'
import { Tail } from './tail.ts'
import type { TailOptions, TailSource } from './tail-request.ts'

export interface ClientOptions {
  /** Where the server is: http://127.0.0.1:8082, with or without a path in front of /v1; host:port is enough. */
  readonly url: string
  readonly fetch?: Fetch
  /** Of tails. */
  readonly webSocket?: WebSocketClass
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** Which request of which producer this is: a repeat of it is stored once. */
export interface ProducerRequest {
  readonly id: string
  readonly epoch: number
  /** Of the producer's requests to the topic; the first is 0. */
  readonly sequence: number
}

export interface ProduceOptions extends CallOptions {
  readonly acks?: Acks | undefined
  readonly producer?: ProducerRequest | undefined
}

export interface ReadOptions extends CallOptions {
  /** Where to begin, in the server's position grammar; earliest by default. */
  readonly from?: string | undefined
  /** With a `from` of committed: the consumer group that is meant. */
  readonly group?: string | undefined
  /** Goes before `from`. */
  readonly cursor?: string | undefined
  readonly partitions?: readonly number[] | undefined
  readonly limit?: number | undefined
  readonly maxBytes?: number | undefined
  readonly waitMs?: number | undefined
  readonly minRecords?: number | undefined
  readonly key?: string | undefined
  /** Each as name:value; a record must have them all. */
  readonly headers?: readonly string[] | undefined
  /** An expression in CEL. */
  readonly filter?: string | undefined
  readonly keyFormat?: string | undefined
  readonly valueFormat?: string | undefined
  /** tagged by default. */
  readonly unions?: AvroUnions | undefined
  readonly onGap?: 'error' | 'earliest' | undefined
}

export interface RecordOptions extends CallOptions {
  readonly keyFormat?: string | undefined
  readonly valueFormat?: string | undefined
  /** tagged by default. */
  readonly unions?: AvroUnions | undefined
}

export interface OffsetOptions extends CallOptions {
  /** A position, or max_timestamp; latest by default. */
  readonly at?: string | undefined
  readonly group?: string | undefined
  readonly partitions?: readonly number[] | undefined
}

export interface ImportOptions extends CallOptions {
  readonly acks?: Acks | undefined
  readonly format?: 'record' | 'value' | undefined
  /** With format value: the member that is the key. */
  readonly key?: string | undefined
  readonly keepPartitions?: boolean | undefined
  readonly contentEncoding?: 'gzip' | 'zstd' | undefined
}

export interface ExportOptions extends CallOptions {
  readonly from?: string | undefined
  readonly until?: string | undefined
  /** Goes on with what is appended. */
  readonly follow?: boolean | undefined
  readonly partitions?: readonly number[] | undefined
}

const JSON_TYPE = { 'content-type': 'application/json' }

/** Items asked for in one call of a listing. */
const PAGE_LIMIT = 1_000

export class TailraceClient {
  readonly url: string
  readonly #fetch: Fetch
  readonly #webSocket: WebSocketClass

  /** A TypeError where the URL is none. */
  constructor({ url, fetch = globalThis.fetch, webSocket = globalThis.WebSocket }: ClientOptions) {
    this.url = parseServerUrl(url)
    this.#fetch = fetch
    this.#webSocket = webSocket
  }

  /** All of them, however many pages that takes. */
  listTopics(options: CallOptions & { readonly internal?: boolean } = {}): Promise<TopicSummary[]> {
    return this.#all('/v1/topics', { internal: options.internal ? 'true' : undefined }, options)
  }

  createTopic(request: CreateTopicRequest, { signal }: CallOptions = {}): Promise<TopicDescription> {
    return this.#json({ method: 'POST', path: '/v1/topics', headers: JSON_TYPE, body: JSON.stringify(request), signal })
  }

  getTopic(topic: string, { signal }: CallOptions = {}): Promise<TopicDescription> {
    return this.#json({ method: 'GET', path: pathOf(topic), signal })
  }

  updateTopic(topic: string, request: UpdateTopicRequest, { signal }: CallOptions = {}): Promise<TopicDescription> {
    const body = JSON.stringify(request)
    return this.#json({ method: 'PATCH', path: pathOf(topic), headers: JSON_TYPE, body, signal })
  }

  async deleteTopic(topic: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#body({ method: 'DELETE', path: pathOf(topic), signal })
  }

  produce(
    topic: string,
    records: readonly ProduceRecord[],
    options: ProduceOptions & { keyEncoding?: RecordEncoding; valueEncoding?: RecordEncoding } = {},
  ): Promise<ProduceResponse> {
    const body = { records, key_encoding: options.keyEncoding, value_encoding: options.valueEncoding }
    return this.produceJson(topic, JSON.stringify(body), options)
  }

  /** A produce body that was written by hand, so that its values keep their very characters. */
  async produceJson(
    topic: string,
    body: string | Uint8Array,
    { acks, producer, signal }: ProduceOptions = {},
  ): Promise<ProduceResponse> {
    const headers = { ...JSON_TYPE, ...(producer && producerHeaders(producer)) }
    return await this.#json({
      method: 'POST',
      path: `${pathOf(topic)}/records${queryOf({ acks })}`,
      headers,
      body,
      signal,
    })
  }

  async read(topic: string, options: ReadOptions = {}): Promise<RecordPage> {
    const query = {
      from: options.cursor === undefined ? options.from : undefined,
      cursor: options.cursor,
      partition: options.partitions,
      limit: options.limit,
      max_bytes: options.maxBytes,
      wait_ms: options.waitMs,
      min_records: options.minRecords,
      key: options.key,
      header: options.headers,
      filter: options.filter,
      key_format: options.keyFormat,
      value_format: options.valueFormat,
      unions: options.unions,
      on_gap: options.onGap,
      group: options.cursor === undefined ? options.group : undefined,
    }
    const path = `${pathOf(topic)}/records${queryOf(query)}`
    return parseRecordPage(await this.#body({ method: 'GET', path, signal: options.signal }))
  }

  /** Page after page from a position on, up to the end of what is there now. Wait for more with waitMs and read(). */
  async *pages(topic: string, options: ReadOptions = {}): AsyncGenerator<RecordPage> {
    let cursor = options.cursor
    for (;;) {
      const page = await this.read(topic, { ...options, cursor })
      cursor = page.cursor
      if (page.records.length > 0 || page.gaps.length > 0) yield page
      if (page.caughtUp) return
    }
  }

  /** What there is from a position on, and what comes: until the options say so, or the loop over it is left. */
  tail(source: TailSource, options: TailOptions = {}): Tail {
    const probe = (signal: AbortSignal | undefined) => this.getCluster({ signal })
    const dependencies = {
      url: this.url,
      webSocket: this.#webSocket,
      clock: foregroundClock,
      random: Math.random,
      probe,
    }
    return new Tail(dependencies, source, options)
  }

  async getRecord(topic: string, partition: number, offset: number, options: RecordOptions = {}): Promise<RawRecord> {
    const { keyFormat: key_format, valueFormat: value_format, unions } = options
    const query = queryOf({ key_format, value_format, unions })
    const path = `${pathOf(topic)}/partitions/${partition}/records/${offset}${query}`
    return new RawRecord(await this.#body({ method: 'GET', path, signal: options.signal }))
  }

  async listOffsets(topic: string, options: OffsetOptions = {}): Promise<PartitionOffset[]> {
    const path = `${pathOf(topic)}/offsets${queryOf({ at: options.at, group: options.group, partition: options.partitions })}`
    const list = await this.#json<{ items: PartitionOffset[] }>({ method: 'GET', path, signal: options.signal })
    return list.items
  }

  /** -1: all there are. */
  deleteRecords(
    topic: string,
    partition: number,
    before: number,
    { signal }: CallOptions = {},
  ): Promise<DeletedRecords> {
    const path = `${pathOf(topic)}/partitions/${partition}/records${queryOf({ before })}`
    return this.#json({ method: 'DELETE', path, signal })
  }

  /** Streams lines of any length in; the report says which were not taken. */
  import(topic: string, body: AsyncIterable<Uint8Array>, options: ImportOptions = {}): Promise<ImportReport> {
    const { acks, format, key, keepPartitions, contentEncoding, signal } = options
    const query = queryOf({ acks, format, key, keep_partitions: keepPartitions === false ? 'false' : undefined })
    const headers = {
      'content-type': 'application/x-ndjson',
      ...(contentEncoding && { 'content-encoding': contentEncoding }),
    }
    return this.#json({ method: 'POST', path: `${pathOf(topic)}/import${query}`, headers, body, signal })
  }

  /** Chunks of lines as they arrive. The text is whole only if its last line begins with {"$end": */
  export(topic: string, options: ExportOptions = {}): AsyncGenerator<Uint8Array> {
    const { from, until, follow, partitions } = options
    const query = queryOf({ from, until, follow: follow ? 'true' : undefined, partition: partitions })
    const path = `${pathOf(topic)}/export${query}`
    return callForChunks(this.#fetch, this.url, { method: 'GET', path, signal: options.signal })
  }

  /** All of them, however many pages that takes. */
  listGroups(options: CallOptions = {}): Promise<GroupSummary[]> {
    return this.#all('/v1/groups', {}, options)
  }

  async getGroup(group: string, { signal }: CallOptions = {}): Promise<GroupDescription> {
    return await this.#json({ method: 'GET', path: groupPathOf(group), signal })
  }

  /** With its offsets; only while nobody is in it, or with force, which makes its members leave and ends its leases. */
  async deleteGroup(
    group: string,
    { force, signal }: CallOptions & { readonly force?: boolean | undefined } = {},
  ): Promise<void> {
    await this.#body({
      method: 'DELETE',
      path: `${groupPathOf(group)}${queryOf({ force: force ? 'true' : undefined })}`,
      signal,
    })
  }

  async resetOffsets(group: string, request: ResetOffsetsRequest, { signal }: CallOptions = {}): Promise<OffsetsReset> {
    const body = JSON.stringify(request)
    return await this.#json({
      method: 'PATCH',
      path: `${groupPathOf(group)}/offsets`,
      headers: JSON_TYPE,
      body,
      signal,
    })
  }

  /** Of a topic, or of some of its partitions. */
  async deleteOffsets(
    group: string,
    topic: string,
    { partitions, signal }: CallOptions & { readonly partitions?: readonly number[] | undefined } = {},
  ): Promise<void> {
    const path = `${groupPathOf(group)}/offsets${queryOf({ topic, partition: partitions })}`
    await this.#body({ method: 'DELETE', path, signal })
  }

  /** Records on a lease; with a wait_ms it comes with the first of them. */
  async pollGroup(group: string, request: PollGroupRequest, options: CallOptions = {}): Promise<GroupPoll> {
    return parseGroupPoll(await this.#body(this.#postToGroup(group, 'poll', request, options)))
  }

  /** Those that are open. */
  async listLeases(group: string, { signal }: CallOptions = {}): Promise<OpenLease[]> {
    const call: Call = { method: 'GET', path: `${groupPathOf(group)}/leases`, signal }
    return (await this.#json<{ items: OpenLease[] }>(call)).items
  }

  /** All leases that were given to this name of a worker ('': to those that gave none). How many it were. */
  async releaseMember(group: string, member: string, { signal }: CallOptions = {}): Promise<number> {
    const call: Call = { method: 'DELETE', path: `${groupPathOf(group)}/leases${queryOf({ member })}`, signal }
    return (await this.#json<{ released: number }>(call)).released
  }

  async ackLease(
    group: string,
    lease: string,
    request: AckLeaseRequest,
    options: CallOptions = {},
  ): Promise<LeaseStatus> {
    return await this.#json(this.#postToGroup(group, `leases/${encodeURIComponent(lease)}/ack`, request, options))
  }

  /** For so long from now on. */
  async extendLease(group: string, lease: string, leaseMs: number, options: CallOptions = {}): Promise<LeaseStatus> {
    const body = { lease_ms: leaseMs }
    return await this.#json(this.#postToGroup(group, `leases/${encodeURIComponent(lease)}/extend`, body, options))
  }

  async releaseLease(group: string, lease: string, options: CallOptions = {}): Promise<LeaseStatus> {
    return await this.#json(this.#postToGroup(group, `leases/${encodeURIComponent(lease)}/release`, {}, options))
  }

  getCluster({ signal }: CallOptions = {}): Promise<ClusterDescription> {
    return this.#json({ method: 'GET', path: '/v1/cluster', signal })
  }

  #postToGroup(group: string, verb: string, body: object, { signal }: CallOptions): Call {
    const path = `${groupPathOf(group)}/${verb}`
    return { method: 'POST', path, headers: JSON_TYPE, body: JSON.stringify(body), signal }
  }

  async #all<Item>(path: string, query: Readonly<Record<string, QueryValue>>, options: CallOptions): Promise<Item[]> {
    const items: Item[] = []
    let cursor: string | undefined
    do {
      const page = await this.#json<{ items: Item[]; next_cursor: string | null }>({
        method: 'GET',
        path: `${path}${queryOf({ limit: PAGE_LIMIT, ...query, cursor })}`,
        signal: options.signal,
      })
      items.push(...page.items)
      cursor = page.next_cursor ?? undefined
    } while (cursor !== undefined)
    return items
  }

  #body(call: Call): Promise<Uint8Array> {
    return callForBody(this.#fetch, this.url, call)
  }

  async #json<Body>(call: Call): Promise<Body> {
    return JSON.parse(textOf(await this.#body(call))) as Body
  }
}

function pathOf(topic: string): string {
  return `/v1/topics/${encodeURIComponent(topic)}`
}

/** A path has no place for `.` and `..`: what is sent would be another path. */
function groupPathOf(group: string): string {
  if (group !== '' && group !== '.' && group !== '..') return `/v1/groups/${encodeURIComponent(group)}`
  const message = `no group can be called '${group}'`
  throw new TailraceClientError({ status: 0, code: 'invalid_group_id', message, retryable: false })
}

type QueryValue = string | number | readonly (string | number)[] | undefined

function queryOf(values: Readonly<Record<string, QueryValue>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue
    for (const one of [value].flat()) query.append(name, String(one))
  }
  return query.size === 0 ? '' : `?${query}`
}

function producerHeaders({ id, epoch, sequence }: ProducerRequest): Record<string, string> {
  return { 'producer-id': id, 'producer-epoch': String(epoch), 'producer-seq': String(sequence) }
}
