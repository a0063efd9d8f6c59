// Makes partitioner.json: what an independent client library (kafkajs) hashes keys to and where its default partitioner
// puts them. Run: node test/golden/partitioner.ts

import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Partitioners } from 'kafkajs'

const require = createRequire(import.meta.url)
const murmur2 = require('kafkajs/src/producer/partitioners/default/murmur2.js') as (key: Buffer) => number

const PARTITION_COUNTS = [1, 2, 3, 6, 8, 12, 50, 1000]
const place = Partitioners.DefaultPartitioner()

function* keys(): Generator<Buffer> {
  for (const text of ['', 'a', 'ab', 'abc', 'abcd', '21', 'foobar', 'a-little-bit-long-string']) yield Buffer.from(text)
  for (const text of ['a-little-bit-longer-string', 'lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8']) {
    yield Buffer.from(text)
  }
  for (const text of ['c-17', 'zażółć', '流れ', '🌊', '{"id":1}', ' ', '\u0000']) yield Buffer.from(text)
  // Bytes above 0x7f are where a signed and an unsigned reading differ.
  for (let length = 1; length <= 40; length++) {
    yield Buffer.from(Array.from({ length }, (_, at) => (at * 167 + length * 89 + 128) % 256))
  }
  for (let number = 0; number < 64; number++) yield Buffer.from(`user-${number * 7919}`)
}

const rows = Array.from(keys(), (key) => ({
  key: key.toString('base64'),
  hash: murmur2(key),
  partitions: PARTITION_COUNTS.map((count) => {
    const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({ partitionId, leader: 0 }))
    const message = { key, value: null }
    return place({ topic: 't', message, partitionMetadata: partitionMetadata as never })
  }),
}))

const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n')
const text = `{\n  "partition_counts": ${JSON.stringify(PARTITION_COUNTS)},\n  "keys": [\n${lines}\n  ]\n}\n`
writeFileSync(join(import.meta.dirname, 'partitioner.json'), text)
