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
  const directory = logs.topicsDirectory
  const names = (await disk.list(directory)).filter((name) => !SET_ASIDE.test(name))
  if (logs.cleanStop && deleted.size === 0 && !hasStranger(names, catalog)) return
  const setAside: string[] = []
  for (const name of names) {
    const path = join(directory, name)
    const topicId = DELETED.exec(name)?.[1] ?? (await readTopicId(disk, path))
    if (topicId !== undefined && deleted.has(topicId)) {
      await removeFolder(disk, directory, name, topicId)
    } else if (topicId !== undefined && catalog.findById(topicId) === undefined) {
      await disk.rename(path, `${path}.${topicId}.orphan`)
      setAside.push(name)
    }
  }
  if (setAside.length > 0) tellSetAside(setAside, directory, logger)
  await disk.syncDirectory(directory)
  for (const topicId of deleted) await catalog.forgetDeleted(topicId)
}

/**
 * Under a name of its own: a start that is cut while it removes file by file must not leave a folder without its owner's
 * name to a topic that was made again.
 */
async function removeFolder(disk: SegmentDisk, directory: string, name: string, topicId: string): Promise<void> {
  const partition = name.slice(name.lastIndexOf('-') + 1)
  const aside = DELETED.test(name) ? name : `${topicId}-${partition}.deleted`
  if (aside !== name) {
    await disk.remove(join(directory, aside))
    await disk.rename(join(directory, name), join(directory, aside))
    await disk.syncDirectory(directory)
  }
  await disk.remove(join(directory, aside))
}

/** A name that no topic of the catalog gives a folder: meta.db may be of another data directory. */
function hasStranger(names: readonly string[], catalog: TopicCatalog): boolean {
  return names.some((name) => catalog.find(name.slice(0, name.lastIndexOf('-'))) === undefined)
}

const NAMES_TOLD = 10

function tellSetAside(names: readonly string[], directory: string, logger: Logger): void {
  const more = names.length > NAMES_TOLD ? ` and ${names.length - NAMES_TOLD} more` : ''
  logger.error(
    { directory, folders: names.length },
    `meta.db does not know the topics of ${names.length} folders (${names.slice(0, NAMES_TOLD).join(', ')}${more}): they were set ` +
      `aside as .orphan in ${directory}. If meta.db is an older copy or another one, stop, put the right one back and take ` +
      'the ending off their names',
  )
}
