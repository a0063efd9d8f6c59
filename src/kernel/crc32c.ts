// CRC-32C (Castagnoli), the checksum of Kafka's RecordBatch v2, over a range of bytes. Slicing-by-16: sixteen tables
// let one round take sixteen bytes with no dependency between its look-ups. It stands on both paths (every batch that
// is sealed, every batch that is read), so it copies nothing.

const POLYNOMIAL_REVERSED = 0x82f63b78
const SLICES = 16

/** TABLES[256 * k + b]: what byte b does to the checksum when k more bytes follow it. */
const TABLES = buildTables()

function buildTables(): Int32Array {
  const tables = new Int32Array(256 * SLICES)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL_REVERSED : crc >>> 1
    tables[byte] = crc
  }
  for (let at = 256; at < tables.length; at++) {
    const shorter = tables[at - 256] as number
    tables[at] = (shorter >>> 8) ^ (tables[shorter & 0xff] as number)
  }
  return tables
}

/** From this length on, making a view pays for itself. */
const VIEW_BYTES_MIN = 256

/** The checksum of bytes [start, end), unsigned. `seed` is the checksum of what came before. */
export function crc32c(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  if (end - start >= VIEW_BYTES_MIN) {
    return crc32cOfView(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), start, end, seed)
  }
  const wholeEnd = start + ((end - start) & ~15)
  let crc = updateByBytes(bytes, start, wholeEnd, ~seed)
  for (let at = wholeEnd; at < end; at++) crc = (crc >>> 8) ^ (TABLES[(crc ^ (bytes[at] as number)) & 0xff] as number)
  return ~crc >>> 0
}

/** The same for who has a view of the bytes already: the fastest for short ranges too. */
export function crc32cOfView(view: DataView, start: number, end: number, seed = 0): number {
  let crc = ~seed
  let at = start
  for (; at + 16 <= end; at += 16) {
    const a = crc ^ view.getInt32(at, true)
    const b = view.getInt32(at + 4, true)
    const c = view.getInt32(at + 8, true)
    const d = view.getInt32(at + 12, true)
    crc =
      (TABLES[2816 + (b & 0xff)] as number) ^
      (TABLES[2560 + ((b >>> 8) & 0xff)] as number) ^
      (TABLES[2304 + ((b >>> 16) & 0xff)] as number) ^
      (TABLES[2048 + (b >>> 24)] as number) ^
      (TABLES[1792 + (c & 0xff)] as number) ^
      (TABLES[1536 + ((c >>> 8) & 0xff)] as number) ^
      (TABLES[1280 + ((c >>> 16) & 0xff)] as number) ^
      (TABLES[1024 + (c >>> 24)] as number) ^
      (TABLES[768 + (d & 0xff)] as number) ^
      (TABLES[512 + ((d >>> 8) & 0xff)] as number) ^
      (TABLES[256 + ((d >>> 16) & 0xff)] as number) ^
      (TABLES[d >>> 24] as number) ^
      (TABLES[3840 + (a & 0xff)] as number) ^
      (TABLES[3584 + ((a >>> 8) & 0xff)] as number) ^
      (TABLES[3328 + ((a >>> 16) & 0xff)] as number) ^
      (TABLES[3072 + (a >>> 24)] as number)
  }
  for (; at + 4 <= end; at += 4) {
    const a = crc ^ view.getInt32(at, true)
    crc =
      (TABLES[768 + (a & 0xff)] as number) ^
      (TABLES[512 + ((a >>> 8) & 0xff)] as number) ^
      (TABLES[256 + ((a >>> 16) & 0xff)] as number) ^
      (TABLES[a >>> 24] as number)
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ (TABLES[(crc ^ view.getUint8(at)) & 0xff] as number)
  return ~crc >>> 0
}

/** The same by bytes; [start, end) is a multiple of sixteen. */
function updateByBytes(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let crc = seed
  for (let at = start; at < end; at += 16) {
    const a =
      crc ^
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24))
    crc =
      (TABLES[2816 + (bytes[at + 4] as number)] as number) ^
      (TABLES[2560 + (bytes[at + 5] as number)] as number) ^
      (TABLES[2304 + (bytes[at + 6] as number)] as number) ^
      (TABLES[2048 + (bytes[at + 7] as number)] as number) ^
      (TABLES[1792 + (bytes[at + 8] as number)] as number) ^
      (TABLES[1536 + (bytes[at + 9] as number)] as number) ^
      (TABLES[1280 + (bytes[at + 10] as number)] as number) ^
      (TABLES[1024 + (bytes[at + 11] as number)] as number) ^
      (TABLES[768 + (bytes[at + 12] as number)] as number) ^
      (TABLES[512 + (bytes[at + 13] as number)] as number) ^
      (TABLES[256 + (bytes[at + 14] as number)] as number) ^
      (TABLES[bytes[at + 15] as number] as number) ^
      (TABLES[3840 + (a & 0xff)] as number) ^
      (TABLES[3584 + ((a >>> 8) & 0xff)] as number) ^
      (TABLES[3328 + ((a >>> 16) & 0xff)] as number) ^
      (TABLES[3072 + (a >>> 24)] as number)
  }
  return crc
}
