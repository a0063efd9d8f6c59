// The topic that schemas are kept in: one partition, since its order is what is known, and compacted, never deleted from.

import type { TopicSpec } from './engine.ts'

export const SCHEMAS_TOPIC = '_schemas'

/** As whoever needs it first makes it. */
export const SCHEMAS_TOPIC_SPEC = {
  name: SCHEMAS_TOPIC,
  partitionCount: 1,
  configs: { 'cleanup.policy': 'compact', 'message.timestamp.type': 'CreateTime' },
} as const satisfies TopicSpec
