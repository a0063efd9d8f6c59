// What a topic's config says to the log of one of its partitions.

import type { TopicConfig } from '../engine/topic-config.ts'
import type { LogSettings } from '../log/log-appender.ts'
import { compactedSegmentMs } from '../log/log-compaction.ts'
import type { LogIdentity } from '../log/log-identity.ts'
import { rollJitterMs } from '../log/log-segment.ts'

export function logSettings(config: TopicConfig, { topicId, partition }: LogIdentity): LogSettings {
  const { segmentBytes, indexIntervalBytes, maxMessageBytes, fileDeleteDelayMs, cleanupPolicy } = config
  const { segmentJitterMs } = config
  const segmentMs = cleanupPolicy.compact
    ? compactedSegmentMs(config.segmentMs, config.maxCompactionLagMs)
    : config.segmentMs
  return {
    segmentBytes,
    segmentMs: segmentMs - rollJitterMs(`${topicId}-${partition}`, { segmentMs, segmentJitterMs }),
    indexIntervalBytes,
    maxMessageBytes,
    fileDeleteDelayMs,
    logAppendTime: config.messageTimestampType === 'LogAppendTime',
    retentionMs: cleanupPolicy.delete ? config.retentionMs : Infinity,
    retentionBytes: cleanupPolicy.delete ? config.retentionBytes : Infinity,
    compaction: cleanupPolicy.compact ? config : undefined,
  }
}
