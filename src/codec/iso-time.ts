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

/** As parseIsoTime, for ASCII text in [start, end). The form that is written here is read without making a string. */
export function parseIsoTimeAt(bytes: Buffer, start: number, end: number): number | undefined {
  const ms = end - start === ISO_TIME_BYTES ? parseUsualForm(bytes, start) : Number.NaN
  return Number.isNaN(ms) ? parseIsoTime(bytes.toString('latin1', start, end)) : ms
}

/** `2026-11-21T02:00:00.123Z`; NaN when it is not of this form, or is of a 29th of February. */
function parseUsualForm(bytes: Buffer, at: number): number {
  for (let place = 0; place < SEPARATORS.length; place += 2) {
    if (bytes[at + (SEPARATORS[place] as number)] !== SEPARATORS[place + 1]) return Number.NaN
  }
  const year = digitsAt(bytes, at, 4)
  const month = digitsAt(bytes, at + 5, 2)
  const day = digitsAt(bytes, at + 8, 2)
  const hour = digitsAt(bytes, at + 11, 2)
  const minute = digitsAt(bytes, at + 14, 2)
  const second = digitsAt(bytes, at + 17, 2)
  const isUsual =
    month >= 1 &&
    month <= 12 &&
    day >= 1 &&
    day <= (MONTH_DAYS[month] as number) &&
    hour <= 23 &&
    minute <= 59 &&
    second <= 59
  if (!isUsual) return Number.NaN
  // Years are counted from March, so that the leap day ends one: 153 days are the five months from March or August on.
  const marchYear = month <= 2 ? year - 1 : year
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400)
  const days = marchYear * 365 + leapDays + Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - EPOCH_DAY
  return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + digitsAt(bytes, at + 20, 3)
}

/** By month, from 1; a 29th of February is left to the calendar. */
const MONTH_DAYS = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Where in the usual form which byte stands between the digits. */
const SEPARATORS = [4, 0x2d, 7, 0x2d, 10, 0x54, 13, 0x3a, 16, 0x3a, 19, 0x2e, 23, 0x5a]

/** 1970-01-01, counted as above. */
const EPOCH_DAY = 719_469

/** NaN when one of them is no digit. */
function digitsAt(bytes: Buffer, at: number, count: number): number {
  let number = 0
  for (let position = at; position < at + count; position++) {
    const digit = (bytes[position] as number) - 0x30
    if (!(digit >= 0 && digit <= 9)) return Number.NaN
    number = number * 10 + digit
  }
  return number
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
  return `"${timeText(ms)}"`
}

/** A time as it is shown: ISO 8601, and its ms beyond the calendar's end. */
export function timeText(ms: number): string {
  return Math.abs(ms) <= CALENDAR_MS_MAX ? new Date(ms).toISOString() : String(ms)
}

/** The last millisecond that Date knows, in the year 275760. */
export const CALENDAR_MS_MAX = 8.64e15
