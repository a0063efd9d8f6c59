// What a failed call to the disk means for who asked: no room, too many files, or a failing disk.

import { TailraceError } from '../kernel/errors.ts'

/** What the machine lacks now and may have later. */
export function isPassing(error: unknown): boolean {
  const isOverloaded = error instanceof TailraceError && error.code === 'overloaded'
  return isOverloaded || isShortOfFiles(error) || isDiskFull(error)
}

/** No descriptor is left to the process, or to the machine. */
export function isShortOfFiles(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EMFILE' || code === 'ENFILE'
}

export function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE'
}

/** What a database holds cannot be right. */
export function isDamage(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB')
}

/** The error to answer: disk_full, overloaded or kafka_storage_error, unless the cause says it already. `partition` is `orders-3`. */
export function storageFailure(partition: string, cause: unknown, what: string): TailraceError {
  if (cause instanceof TailraceError) return cause
  if (isDiskFull(cause)) {
    return new TailraceError('disk_full', `no room on the disk: ${what}`, { partition }, { cause })
  }
  if (isShortOfFiles(cause)) {
    return new TailraceError('overloaded', `too many files are open: ${what}`, { partition }, { cause })
  }
  return new TailraceError('kafka_storage_error', `${partition}: ${what}`, {}, { cause })
}
