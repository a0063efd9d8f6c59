// Times as the API writes and takes them: ISO 8601 with a date, a time of day and a zone, to the millisecond.

const ISO_TIME =
  /^(\d{4}|[+-]\d{6})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)$/i

/** ms since the epoch; finer digits are cut off. Undefined when the text is not such a time or names no day of the calendar. */
export function parseIsoTime(text: string): number | undefined {
  const parts = ISO_TIME.exec(text)
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second = '0', fraction = '', sign, zoneHour = '0', zoneMinute = '0'] = parts
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined
  if (Number(zoneHour) > 23 || Number(zoneMinute) > 59) return undefined
  // setUTCFullYear takes years 0 to 99 as they are; Date.UTC would add 1900.
  const date = new Date(0)
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day)) return undefined
  date.setUTCHours(Number(hour), Number(minute), Number(second), Number(fraction.padEnd(3, '0').slice(0, 3)))
  const zoneMs = (Number(zoneHour) * 60 + Number(zoneMinute)) * 60_000
  const ms = date.getTime() - (sign === '-' ? -zoneMs : zoneMs)
  return Number.isNaN(ms) ? undefined : ms
}

/**
 * Renders one time after the other into the same place of some bytes, as `2026-11-21T02:00:00.123Z`. Times that follow each
 * other are of the same day mostly: only the digits that differ are written.
 */
export class IsoTimeWriter {
  readonly #bytes: Buffer
  readonly #position: number
  #ms = Number.NaN
  #dayStart = Number.NaN

  constructor(bytes: Buffer, position: number) {
    this.#bytes = bytes
    this.#position = position
  }

  /** False, and nothing is written, when the year does not have four digits. */
  write(ms: number): boolean {
    if (ms === this.#ms) return true
    if (!(ms >= PLAIN_MS_MIN && ms <= PLAIN_MS_MAX)) return false
    let inDay = ms - this.#dayStart
    if (!(inDay >= 0 && inDay < DAY_MS)) {
      this.#bytes.write(new Date(ms).toISOString(), this.#position, 'latin1')
      this.#dayStart = Math.floor(ms / DAY_MS) * DAY_MS
      inDay = ms - this.#dayStart
    }
    this.#ms = ms
    const bytes = this.#bytes
    const at = this.#position
    const seconds = (inDay / 1000) | 0
    const minutes = (seconds / 60) | 0
    const hours = (minutes / 60) | 0
    const fraction = inDay - seconds * 1000
    writeTwoDigits(bytes, at + 11, hours)
    writeTwoDigits(bytes, at + 14, minutes - hours * 60)
    writeTwoDigits(bytes, at + 17, seconds - minutes * 60)
    const tenths = (fraction / 10) | 0
    writeTwoDigits(bytes, at + 20, tenths)
    bytes[at + 22] = 0x30 + (fraction - tenths * 10)
    return true
  }
}

export const ISO_TIME_BYTES = 24
const DAY_MS = 86_400_000
const PLAIN_MS_MIN = Date.parse('0000-01-01T00:00:00.000Z')
const PLAIN_MS_MAX = Date.parse('9999-12-31T23:59:59.999Z')

function writeTwoDigits(bytes: Buffer, position: number, number: number): void {
  const tens = (number / 10) | 0
  bytes[position] = 0x30 + tens
  bytes[position + 1] = 0x30 + (number - tens * 10)
}

/** The JSON of a time whose year does not have four digits: an expanded ISO time, and its ms beyond the calendar's end. */
export function oddTimeJson(ms: number): string {
  return Math.abs(ms) <= CALENDAR_MS_MAX ? `"${new Date(ms).toISOString()}"` : `"${ms}"`
}

/** The last millisecond that Date knows, in the year 275760. */
const CALENDAR_MS_MAX = 8.64e15
