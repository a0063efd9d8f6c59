// What compression.type and the levels beside it mean for a batch that is to be stored. Pure.

import type { BatchCodec } from '../record/compression.ts'
import type { TopicConfig } from './topic-config.ts'

/** The codec that the topic's batches are stored with; undefined: they stay as they came. */
export function storedCodec(config: TopicConfig): BatchCodec | undefined {
  switch (config.compressionType) {
    case 'producer':
      return undefined
    case 'gzip':
      return { type: 'gzip', level: config.compressionGzipLevel }
    case 'zstd':
      return { type: 'zstd', level: config.compressionZstdLevel }
    default:
      return { type: config.compressionType }
  }
}
