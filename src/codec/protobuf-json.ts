// JSON for Protobuf's library with every digit of its whole numbers: it takes those of 64 bits as texts, too, and JavaScript's
// numbers hold 53. Costs little more than JSON.parse, but where a number needs it.

import type { DescField, DescMessage, JsonValue, Registry } from '@bufbuild/protobuf'

const QUOTE = 0x22
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const LETTER_E = 0x65
const BACKSLASH = 0x5c

/** JSON.parse may not keep a whole number in [start, end): 16 digits from 9 on, 17, or a power of ten. */
function mayHaveWide(bytes: Buffer, start: number, end: number): boolean {
  let digits = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    if (byte >= ZERO && byte <= NINE) {
      if (++digits > 16 || (digits === 16 && bytes[at - 15] === NINE)) return true
    } else {
      if ((byte | 0x20) === LETTER_E && digits !== 0) return true
      // behind a point digits count no more, a power of ten does
      digits = byte === DOT ? Number.MIN_SAFE_INTEGER : 0
      if (byte === QUOTE) at = closingQuote(bytes, at)
    }
  }
  return false
}

/** Short texts end sooner than a search begins. */
const SHORT_TEXT_BYTES = 32

function closingQuote(bytes: Buffer, opening: number): number {
  let at = opening + 1
  for (; at < opening + SHORT_TEXT_BYTES; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) return at
    if (byte === BACKSLASH) at++
  }
  for (;;) {
    const quote = bytes.indexOf(QUOTE, at)
    if (quote < 0) return bytes.length
    let backslashes = 0
    while (quote - backslashes > at && bytes[quote - backslashes - 1] === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return quote
    at = quote + 1
  }
}

/** One that JSON.parse does not keep, as it is written. */
class WideNumber {
  readonly source: string

  constructor(source: string) {
    this.source = source
  }
}

/** With the third argument that revivers have and TypeScript does not know of. */
const parseWithSources = JSON.parse as (
  text: string,
  revive: (name: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown

function reviveWide(_name: string, value: unknown, { source = '' }: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value)) return value
  return new WideNumber(source)
}

/** What a value is for. */
interface Slot {
  /** A number of 64 bits. */
  readonly isLong?: boolean
  readonly message?: DescMessage | undefined
  /** Of a map. */
  readonly values?: Slot
}

const ANYTHING: Slot = {}

/** Kinds of numbers of 64 bits, by descriptor.proto: int64, uint64, fixed64, sfixed64, sint64. */
const LONGS: ReadonlySet<number> = new Set([3, 4, 6, 16, 18])
const LONG_WRAPPERS = new Set(['google.protobuf.Int64Value', 'google.protobuf.UInt64Value'])
const ANY = 'google.protobuf.Any'

export class ProtobufJson {
  readonly #registry: Registry
  readonly #fields = new WeakMap<DescMessage, Map<string, DescField>>()

  constructor(registry: Registry) {
    this.#registry = registry
  }

  /** What stands in [start, end), which is well-formed, of a message. */
  parse(bytes: Buffer, start: number, end: number, message: DescMessage): JsonValue {
    const text = bytes.toString('utf8', start, end)
    if (!mayHaveWide(bytes, start, end)) return JSON.parse(text) as JsonValue
    return this.#narrowed(parseWithSources(text, reviveWide), slotOf(message))
  }

  /** Wide numbers as texts where the library takes them, as numbers of JavaScript elsewhere. */
  #narrowed(json: unknown, slot: Slot): JsonValue {
    if (json instanceof WideNumber) return slot.isLong ? wholeText(json.source) : Number(json.source)
    if (Array.isArray(json)) return json.map((item) => this.#narrowed(item, slot))
    if (typeof json !== 'object' || json === null) return json as JsonValue
    const members = json as Record<string, unknown>
    const type = slot.message?.typeName === ANY ? String(members['@type']) : undefined
    const message = type === undefined ? slot.message : this.#registry.getMessage(type.slice(type.lastIndexOf('/') + 1))
    for (const [name, value] of Object.entries(members)) {
      // what has a form of its own in JSON stands in an Any under this name
      const isValue = type !== undefined && name === 'value' && message?.typeName.startsWith('google.protobuf.')
      members[name] = this.#narrowed(value, slot.values ?? (isValue ? slotOf(message) : this.#member(message, name)))
    }
    return members as JsonValue
  }

  #member(message: DescMessage | undefined, name: string): Slot {
    if (message === undefined) return ANYTHING
    const extension = name.startsWith('[') ? this.#registry.getExtension(name.slice(1, -1)) : undefined
    const field = extension ?? this.#fieldsOf(message).get(name)
    return field === undefined ? ANYTHING : slotOfField(field)
  }

  /** By both of their names. */
  #fieldsOf(message: DescMessage): ReadonlyMap<string, DescField> {
    const known = this.#fields.get(message)
    if (known !== undefined) return known
    const fields = new Map(
      message.fields.flatMap((field) => [[field.jsonName, field] as const, [field.name, field] as const]),
    )
    this.#fields.set(message, fields)
    return fields
  }
}

function slotOf(message: DescMessage | undefined): Slot {
  return { message, isLong: LONG_WRAPPERS.has(message?.typeName ?? '') }
}

function slotOfField(field: Pick<DescField, 'fieldKind' | 'message' | 'scalar'>): Slot {
  const slot = field.message === undefined ? { isLong: LONGS.has(field.scalar ?? 0) } : slotOf(field.message)
  return field.fieldKind === 'map' ? { values: slot } : slot
}

/** Longer than any number of 64 bits. */
const WHOLE_DIGITS_MAX = 25

/** Without a power of ten; as it is where that makes no whole number, or a long one: the library refuses it. */
function wholeText(source: string): string {
  const [, sign = '', whole = '', fraction = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?$/.exec(source) ?? []
  const digits = whole + fraction
  const length = whole.length + Number(power)
  if (length > WHOLE_DIGITS_MAX || /[1-9]/.test(digits.slice(Math.max(0, length)))) return source
  return sign + digits.slice(0, length).padEnd(length, '0')
}
