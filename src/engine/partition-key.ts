/**
 * What a partition is looked up by: its topic's name, or the topic's id where one of an earlier topic of that name is another.
 * Neither holds a slash.
 */
export function partitionKey(topic: string, partition: number): string {
  return `${topic}/${partition}`
}
