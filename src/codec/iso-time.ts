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

/** ISO 8601 in UTC with ms; beyond the calendar's end (year 275760) there is no such text, and it is undefined. */
export function renderIsoTime(ms: number): string | undefined {
  return Math.abs(ms) <= ISO_MS_MAX ? new Date(ms).toISOString() : undefined
}

/** The last millisecond that Date knows. */
const ISO_MS_MAX = 8.64e15
