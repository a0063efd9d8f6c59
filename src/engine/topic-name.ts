// Kafka's rule for topic names. Names become directory names, so this is checked before any path is built and before any
// engine is asked.

import { TailraceError } from '../kernel/errors.ts'
import { TOPIC_NAME_CHARS_MAX } from '../kernel/limits.ts'
import { SCHEMAS_TOPIC } from './schemas-topic.ts'

const LEGAL_CHARS = /^[a-zA-Z0-9._-]+$/

/** invalid_topic_exception unless the name is legal: [a-zA-Z0-9._-]{1,249}, and neither `.` nor `..`. */
export function checkTopicName(name: string): void {
  const fault = faultOf(name)
  if (fault === undefined) return
  throw new TailraceError(
    'invalid_topic_exception',
    `topic name ${shown(name)} ${fault}; a topic name is 1 to ${TOPIC_NAME_CHARS_MAX} of the characters a-z A-Z 0-9 . _ - and is not '.' or '..'`,
    { topic: name.slice(0, TOPIC_NAME_CHARS_MAX) },
  )
}

/** Topics that the system keeps for itself: hidden from lists, closed to writes from outside. */
export function isInternalTopic(name: string): boolean {
  return name === SCHEMAS_TOPIC || name.startsWith('__')
}

function faultOf(name: string): string | undefined {
  if (name === '') return 'is empty'
  if (name === '.' || name === '..') return 'is a directory of its own'
  if (name.length > TOPIC_NAME_CHARS_MAX) return `has ${name.length} characters`
  if (LEGAL_CHARS.test(name)) return undefined
  const illegal = [...name].find((character) => !LEGAL_CHARS.test(character))
  return `holds the character ${JSON.stringify(illegal)}`
}

function shown(name: string): string {
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name)
}
