// The file partition.metadata of a partition's folder, as Kafka has it: which topic the folder belongs to. A folder is
// named after its topic, and a topic made again has the same name: only the UUID in here tells their files apart.

import { join } from 'node:path'
import type { SegmentDisk } from './segment-file.ts'

export const PARTITION_METADATA = 'partition.metadata'

const TOPIC_ID = /^topic_id: ([0-9a-f-]{36})$/m

export function renderPartitionMetadata(topicId: string): Buffer {
  return Buffer.from(`version: 0\ntopic_id: ${topicId}\n`)
}

/** undefined: the folder was made, but no more: nothing was ever acknowledged in it. */
export async function readTopicId(disk: SegmentDisk, directory: string): Promise<string | undefined> {
  const bytes = await disk.readFile(join(directory, PARTITION_METADATA))
  return bytes && TOPIC_ID.exec(bytes.toString('utf8'))?.[1]
}
