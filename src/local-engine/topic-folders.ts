// The start's look over DATA_DIR/topics: what a deleted topic has left goes, what belongs to no known topic is never
// deleted (meta.db may be an older copy) but put out of the way of topics of the same name.

import { join } from 'node:path'
import type { Logger } from '../kernel/logger.ts'
import type { LogManager } from '../log/log-manager.ts'
import { readTopicId } from '../log/partition-metadata.ts'
import type { SegmentDisk } from '../log/segment-file.ts'
import type { TopicCatalog } from './topic-catalog.ts'

export interface SweepOptions {
  readonly disk: SegmentDisk
  readonly catalog: TopicCatalog
  readonly logs: LogManager
  readonly logger: Logger
}

const DELETED = /^([0-9a-f-]{36})-\d+\.deleted$/
const SET_ASIDE = /\.orphan$/

export async function sweepTopicFolders({ disk, catalog, logs, logger }: SweepOptions): Promise<void> {
  const deleted = new Set(catalog.deletedTopics().map((topic) => topic.topicId))
  // a clean stop has left every folder where index.db knows it; only the rest of an interrupted deletion can be there
  if (logs.cleanStop && deleted.size === 0) return
  const directory = logs.topicsDirectory
  for (const name of await disk.list(directory)) {
    if (SET_ASIDE.test(name)) continue
    const path = join(directory, name)
    const topicId = DELETED.exec(name)?.[1] ?? (await readTopicId(disk, path))
    if (topicId !== undefined && deleted.has(topicId)) {
      await disk.remove(path)
    } else if (topicId !== undefined && catalog.findById(topicId) === undefined) {
      await disk.rename(path, `${path}.${topicId}.orphan`)
      logger.warn({ folder: path, topicId }, 'a folder of a topic that meta.db does not know was set aside as .orphan')
    }
  }
  await disk.syncDirectory(directory)
  for (const topicId of deleted) await catalog.forgetDeleted(topicId)
}
