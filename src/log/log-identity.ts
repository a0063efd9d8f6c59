// What names a partition's log, in memory and on the disk.

/** A partition as the catalog knows it. */
export interface LogIdentity {
  readonly topicId: string
  readonly topicName: string
  readonly partition: number
}

/** The same for no other partition, nor for one of an earlier topic of that name. */
export function logKey({ topicId, partition }: Pick<LogIdentity, 'topicId' | 'partition'>): string {
  return `${topicId}-${partition}`
}

/** Its folder's name, which messages name it by. */
export function partitionDirectory({ topicName, partition }: LogIdentity): string {
  return `${topicName}-${partition}`
}
