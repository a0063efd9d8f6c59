// What a consumer group may be called: what can be shown on a line and stand in a path, percent-encoded. Kafka takes any
// string that is not empty.

import { TailraceError } from '../kernel/errors.ts'
import { GROUP_ID_CHARS_MAX } from '../kernel/limits.ts'

const CONTROL = /\p{Cc}/u

/** invalid_group_id unless it is 1 to 249 characters, none of them a control character, and neither `.` nor `..`. */
export function checkGroupId(groupId: string): void {
  const fault = faultOf(groupId)
  if (fault === undefined) return
  const shown = JSON.stringify(groupId.length > 60 ? `${groupId.slice(0, 60)}…` : groupId)
  throw new TailraceError(
    'invalid_group_id',
    `group ${shown} ${fault}; a group's name is 1 to ${GROUP_ID_CHARS_MAX} characters, none of them a control character, and is not '.' or '..'`,
    { group: groupId.slice(0, GROUP_ID_CHARS_MAX) },
  )
}

function faultOf(groupId: string): string | undefined {
  if (groupId === '') return 'is empty'
  // Every HTTP client takes such a segment out of the path, encoded or not.
  if (groupId === '.' || groupId === '..') return 'cannot stand in a path'
  if (groupId.length > GROUP_ID_CHARS_MAX) return `has ${groupId.length} characters`
  if (!groupId.isWellFormed()) return 'is no Unicode text'
  return CONTROL.test(groupId) ? 'holds a control character' : undefined
}
