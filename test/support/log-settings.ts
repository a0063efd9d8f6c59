// What a log obeys of its topic's configuration, as the tests of the log room set it: small segments, nothing deleted.

import type { LogSettings } from '../../src/log/log-appender.ts'

export function logSettings(changes: Partial<LogSettings> = {}): LogSettings {
  return {
    segmentBytes: 2_000,
    segmentMs: 60_000,
    indexIntervalBytes: 300,
    maxMessageBytes: 1_048_576,
    logAppendTime: false,
    retentionMs: Infinity,
    retentionBytes: Infinity,
    fileDeleteDelayMs: 60_000,
    compaction: undefined,
    ...changes,
  }
}

/** Of the marks in segment files: any, and always the same. */
export const TAIL_MARK_KEY = Buffer.alloc(16, 7)
