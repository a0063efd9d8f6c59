import type { GroupPartition } from './group-protocol.ts'

/**
 * What a partition is looked up by: its topic's name, or the topic's id where one of an earlier topic of that name is another.
 * Neither holds a slash.
 */
export function partitionKey(topic: string, partition: number): string {
  return `${topic}/${partition}`
}

/** By the topic's name, then by number. */
export function comparePartitions(a: GroupPartition, b: GroupPartition): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  return a.partition - b.partition
}
