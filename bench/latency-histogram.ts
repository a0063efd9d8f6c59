// Latencies in log-linear buckets, as HdrHistogram keeps them: 32 buckets to each power of two of microseconds, so a
// percentile is off by 3 % at most and recording one value is a shift and an increment, whatever its size.

const SUB_BUCKET_BITS = 5
const SUB_BUCKETS = 1 << SUB_BUCKET_BITS
const MICROS_MAX = 0x7fff_ffff
const BUCKET_COUNT = (32 - SUB_BUCKET_BITS) * SUB_BUCKETS + SUB_BUCKETS

export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKET_COUNT)
  #count = 0

  record(latencyMs: number): void {
    this.#counts[bucketOf(Math.min(MICROS_MAX, Math.round(latencyMs * 1_000)))]! += 1
    this.#count += 1
  }

  get count(): number {
    return this.#count
  }

  /** The upper edge of the bucket that holds the given share (0 to 1) of all values; 0 when there are none. */
  percentileMs(share: number): number {
    const wanted = Math.max(1, Math.ceil(share * this.#count))
    let seen = 0
    for (let bucket = 0; bucket < BUCKET_COUNT; bucket += 1) {
      seen += this.#counts[bucket]!
      if (seen >= wanted) return upperEdgeMicros(bucket) / 1_000
    }
    return 0
  }
}

/** 0..63 µs have a bucket each; 64..127 share 32 buckets of 2 µs (64..95), 128..255 share 32 of 4 µs (96..127), … */
function bucketOf(micros: number): number {
  const shift = Math.max(0, 31 - Math.clz32(micros | 1) - SUB_BUCKET_BITS)
  return shift * SUB_BUCKETS + (micros >>> shift)
}

function upperEdgeMicros(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return bucket
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1
  return (bucket - shift * SUB_BUCKETS + 1) * 2 ** shift - 1
}
