// Frames from clients: one JSON object each, checked against the schema of its type in schemas/frames.json. Members that
// are not known are ignored, so that clients may be newer than the server; who subscribes or produces is told of them. Of a frame that produces, the records are not
// parsed: they are found as a range of its bytes, and what is stored are the very bytes that were sent.

import type { ValidateFunction } from 'ajv'
import type { AvroUnions } from '../../codec/avro-decoder.ts'
import { JsonCursor, MemberNames, OBJECT_END } from '../../codec/json-cursor.ts'
import type { AnyEncoding } from '../../codec/produce-schema.ts'
import { FOREIGN_MEMBERS } from '../../codec/produce-schema.ts'
import type { RecordField, RecordFormat } from '../../codec/record-json.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { WS_NAME_CHARS_MAX } from '../../kernel/limits.ts'
import { nearestName } from '../../kernel/nearest-name.ts'
import type { TailOverflow } from '../../service/tail/tail.ts'
import type { CompileSchema } from '../json-body.ts'
import { loadSchemas, parseJsonText, refusal, unknownMembers } from '../json-body.ts'
import type { CreditGrant } from './credit.ts'

export type FrameId = number | string

interface Command<Type extends string> {
  readonly type: Type
  readonly id?: FrameId
}

interface SubscriptionCommand<Type extends string> extends Command<Type> {
  readonly sub: string
}

export interface SubscribeFrame extends SubscriptionCommand<'subscribe'> {
  readonly mode?: 'tail' | 'group' | 'shared'
  readonly topics?: readonly string[]
  readonly pattern?: string
  readonly partitions?: readonly { readonly topic: string; readonly partition: number }[]
  readonly group?: string
  readonly member?: string
  readonly from?: string
  readonly until?: string | { readonly count: number }
  readonly credit?: CreditGrant
  readonly batch?: { readonly records?: number; readonly wait_ms?: number }
  readonly key_format?: RecordFormat
  readonly value_format?: RecordFormat
  readonly unions?: AvroUnions
  readonly fields?: readonly RecordField[]
  readonly filter?: {
    readonly key?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly expr?: string
  }
  readonly on_gap?: 'error' | 'earliest'
  readonly overflow?: TailOverflow
  readonly heartbeat_ms?: number
  readonly instance?: string
  readonly session_timeout_ms?: number
  readonly release_ms?: number
  readonly auto_commit_ms?: number
  readonly lease_ms?: number
  readonly max_attempts?: number
}

export interface CreditFrame extends SubscriptionCommand<'credit'>, CreditGrant {}

export interface SeekFrame extends SubscriptionCommand<'seek'> {
  readonly to: string
}

export type PauseFrame = SubscriptionCommand<'pause'>
export type ResumeFrame = SubscriptionCommand<'resume'>
export type UnsubscribeFrame = SubscriptionCommand<'unsubscribe'>

export interface CommitFrame extends SubscriptionCommand<'commit'> {
  readonly group?: string
  readonly cursor?: string
  readonly positions?: readonly {
    readonly topic: string
    readonly partition: number
    readonly offset: number
    readonly metadata?: string
  }[]
}

export interface AckFrame extends SubscriptionCommand<'ack'> {
  readonly outcome: 'accept' | 'release' | 'reject' | 'extend'
  readonly records: readonly { readonly topic: string; readonly partition: number; readonly offset: number }[]
}

export type ReleaseFrame = SubscriptionCommand<'release'>

export interface ProduceFrame extends Command<'produce'> {
  readonly topic: string
  readonly acks?: 'all' | '1' | '0'
  readonly key_encoding?: AnyEncoding
  readonly value_encoding?: AnyEncoding
  readonly schema_id?: number
  readonly subject?: string
  readonly schema_version?: number
  readonly key_schema_id?: number
  readonly key_subject?: string
  readonly key_schema_version?: number
  readonly producer?: { readonly id: string; readonly epoch: number; readonly seq: number }
}

export type PingFrame = Command<'ping'>

export type SubscriptionFrame =
  | SubscribeFrame
  | CreditFrame
  | SeekFrame
  | PauseFrame
  | ResumeFrame
  | CommitFrame
  | AckFrame
  | ReleaseFrame
  | UnsubscribeFrame

export type FrameIn = SubscriptionFrame | ProduceFrame | PingFrame

/** By type, the name of its schema. */
const SCHEMA_OF = {
  subscribe: 'Subscribe',
  credit: 'Credit',
  seek: 'Seek',
  pause: 'Pause',
  resume: 'Resume',
  commit: 'Commit',
  ack: 'Ack',
  release: 'Release',
  unsubscribe: 'Unsubscribe',
  produce: 'Produce',
  ping: 'Ping',
} as const satisfies Record<FrameIn['type'], string>

export const FRAME_TYPES = Object.keys(SCHEMA_OF) as readonly FrameIn['type'][]

const SCHEMAS_FILE = new URL('../../../schemas/frames.json', import.meta.url)

export interface ReadFrame {
  readonly frame: FrameIn
  /** Where the array of records lies that a frame produces. */
  readonly recordsStart: number
  readonly recordsEnd: number
}

/** A frame that is not as it should be, and what is known of it all the same: so that its sender learns which it was. */
export class BadFrame {
  readonly error: TailraceError
  readonly id: FrameId | undefined
  readonly sub: string | undefined

  constructor(error: TailraceError, fields: unknown) {
    const { id, sub } = (fields ?? {}) as Record<string, unknown>
    this.error = error
    this.id = Number.isSafeInteger(id) || isShort(id) ? (id as FrameId) : undefined
    this.sub = isShort(sub) && sub !== '' ? sub : undefined
  }
}

export class FrameReader {
  readonly #compile: CompileSchema
  readonly #validators = new Map<string, ValidateFunction>()
  readonly #closedValidators = new Map<string, ValidateFunction>()

  static async load(): Promise<FrameReader> {
    return new FrameReader(await loadSchemas(SCHEMAS_FILE))
  }

  private constructor(compile: CompileSchema) {
    this.#compile = compile
  }

  /** The bytes are UTF-8. */
  read(bytes: Buffer): ReadFrame | BadFrame {
    let fields: unknown
    try {
      const { start, end } = findRecords(bytes)
      const text = start < 0 ? bytes.toString() : `${bytes.toString('utf8', 0, start)}[]${bytes.toString('utf8', end)}`
      fields = parseJsonText(text, 'the frame')
      this.#check(fields)
      return { frame: fields as FrameIn, recordsStart: start, recordsEnd: end }
    } catch (error) {
      if (error instanceof TailraceError) return new BadFrame(error, fields)
      throw error
    }
  }

  /** What of it is passed over, in words. */
  warningsOf(frame: SubscribeFrame | ProduceFrame): readonly string[] {
    const { type } = frame
    const validate = this.#closedValidator(SCHEMA_OF[type])
    if (validate(frame)) return []
    return unknownMembers('the frame', validate.errors ?? [], type === 'produce' ? FOREIGN_MEMBERS : undefined)
  }

  #check(fields: unknown): void {
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
      throw new TailraceError('invalid_request', 'a frame is one JSON object')
    }
    const { type } = fields as { type?: unknown }
    if (typeof type !== 'string')
      throw new TailraceError('invalid_request', `a frame has a type: ${FRAME_TYPES.join(', ')}`)
    if (!Object.hasOwn(SCHEMA_OF, type)) throw unknownType(type)
    const validate = this.#validator(SCHEMA_OF[type as FrameIn['type']])
    if (!validate(fields)) throw refusal(`the ${type} frame`, 'the frame', validate.errors ?? [])
  }

  #validator(schema: string): ValidateFunction {
    return keptIn(this.#validators, schema, () => this.#compile(schema))
  }

  #closedValidator(schema: string): ValidateFunction {
    return keptIn(this.#closedValidators, schema, () => this.#compile(schema, 'closed'))
  }
}

function keptIn(
  kept: Map<string, ValidateFunction>,
  schema: string,
  compile: () => ValidateFunction,
): ValidateFunction {
  const known = kept.get(schema)
  if (known !== undefined) return known
  const made = compile()
  kept.set(schema, made)
  return made
}

const MEMBER_NAMES = new MemberNames(['type', 'records'], 'pass')
const TYPE = 0
const RECORDS = 1
const PRODUCE = 'produce'
/** With each of its letters escaped, and the quotes. */
const PRODUCE_BYTES_MAX = 2 + 6 * PRODUCE.length

/** Of a frame that produces; -1 where it does not. invalid_request: the frame is malformed, or has one of the two twice. */
function findRecords(bytes: Buffer): { readonly start: number; readonly end: number } {
  const cursor = new JsonCursor(bytes)
  let start = -1
  let end = -1
  let seen = 0
  let isProduce = false
  try {
    cursor.enterObject('')
    for (;;) {
      const member = cursor.nextMember(MEMBER_NAMES)
      if (member === OBJECT_END) break
      const from = cursor.position
      cursor.skipEnvelope()
      if (member !== TYPE && member !== RECORDS) continue
      if ((seen & (1 << member)) !== 0) throw twice(MEMBER_NAMES.names[member] as string)
      seen |= 1 << member
      if (member === TYPE) isProduce = isProduceText(bytes, from, cursor.position)
      else [start, end] = [from, cursor.position]
    }
    cursor.finish()
  } catch (error) {
    if (error instanceof TailraceError && error.code === 'invalid_record') throw notAnObject(error)
    throw error
  }
  return isProduce ? { start, end } : { start: -1, end: -1 }
}

function isProduceText(bytes: Buffer, start: number, end: number): boolean {
  if (bytes[start] !== QUOTE || end - start > PRODUCE_BYTES_MAX) return false
  return JSON.parse(bytes.toString('utf8', start, end)) === PRODUCE
}

const QUOTE = 0x22

function twice(name: string): TailraceError {
  return new TailraceError('invalid_request', `${name} stands twice in the frame`)
}

function notAnObject(cause: TailraceError): TailraceError {
  return new TailraceError('invalid_request', 'a frame is one JSON object', {}, { cause })
}

function unknownType(type: string): TailraceError {
  const shown = JSON.stringify(type.slice(0, 60))
  const nearest = nearestName(type.slice(0, 60), FRAME_TYPES)
  const hint = nearest === undefined ? `known are ${FRAME_TYPES.join(', ')}` : `did you mean ${nearest}?`
  return new TailraceError('unknown_type', `there is no frame of type ${shown}; ${hint}`, { allowed: FRAME_TYPES })
}

function isShort(value: unknown): value is string {
  return typeof value === 'string' && value.length <= WS_NAME_CHARS_MAX
}
