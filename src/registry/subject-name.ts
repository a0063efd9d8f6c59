// Which subject the schema of a record's key or value belongs to, as Confluent's serializers and brokers have it.

import type { TopicConfig } from '../engine/topic-config.ts'

export type RecordPart = 'key' | 'value'

/** Of a topic: how the subjects of its keys or values are named. */
export function subjectStrategy({ keySubjects, valueSubjects }: TopicConfig, part: RecordPart) {
  return part === 'key' ? keySubjects : valueSubjects
}

/** `recordName`: what the schema calls its record. undefined: only that name says, and there is none. */
export function subjectNameOf(
  strategy: TopicConfig['keySubjects'],
  topic: string,
  part: RecordPart,
  recordName?: string,
): string | undefined {
  if (strategy === 'TopicNameStrategy') return `${topic}-${part}`
  if (recordName === undefined) return undefined
  return strategy === 'RecordNameStrategy' ? recordName : `${topic}-${recordName}`
}
