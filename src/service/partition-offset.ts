// A place in one partition, as positions, pages and gaps name it.

export interface PartitionOffset {
  readonly partition: number
  readonly offset: number
}

export interface ResolvedOffset extends PartitionOffset {
  /** Of the record there, ms; -1 where there is none, or where it was not looked for by time. */
  readonly timestamp: number
}
