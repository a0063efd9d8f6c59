// The topics that a member's metadata name, where they are a subscription in the bytes of Kafka's ConsumerProtocol:
//
//   int16 version | int32 count | count × (int16 length | UTF-8) | what later versions and assignors add
//
// All that whoever keeps a group has to know of it: which committed offsets are in use.

const LENGTH_BYTES = 2

/** undefined: it is no subscription. */
export function subscribedTopics(protocolType: string, metadata: Uint8Array): ReadonlySet<string> | undefined {
  if (protocolType !== 'consumer' && protocolType !== 'shared') return undefined
  const bytes = Buffer.from(metadata.buffer, metadata.byteOffset, metadata.byteLength)
  if (bytes.length < 6) return undefined
  const count = bytes.readInt32BE(2)
  if (count < 0 || count > bytes.length / LENGTH_BYTES) return undefined
  const topics = new Set<string>()
  let position = 6
  for (let left = count; left > 0; left--) {
    if (position + LENGTH_BYTES > bytes.length) return undefined
    const end = position + LENGTH_BYTES + bytes.readInt16BE(position)
    if (end < position + LENGTH_BYTES || end > bytes.length) return undefined
    topics.add(bytes.toString('utf8', position + LENGTH_BYTES, end))
    position = end
  }
  return topics
}
