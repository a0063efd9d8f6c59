// Kafka's varints: zigzag, seven bits a byte, least significant first. A record's lengths and offset delta are varint
// (32 bits), its timestamp delta is varlong (64 bits). Here they are measured and written; batch-reader.ts reads them
// in its own loop. Values are JavaScript integers; 64-bit ones must be safe integers.

const TWO_TO_32 = 0x1_0000_0000

/** Bytes that a 32-bit value takes. */
export function varintBytes(value: number): number {
  return unsignedVarintBytes((value << 1) ^ (value >> 31))
}

/** Bytes that a safe integer takes. */
export function varlongBytes(value: number): number {
  if (value === (value | 0)) return varintBytes(value)
  const high = Math.floor(value / TWO_TO_32)
  const sign = high >> 31
  const zigzagHigh = ((high << 1) | ((value - high * TWO_TO_32) >>> 31)) ^ sign
  if (zigzagHigh === 0) return 5
  // The low word gives four whole groups and the low four bits of the fifth.
  return zigzagHigh >>> 3 === 0 ? 5 : 5 + unsignedVarintBytes(zigzagHigh >>> 3)
}

/** Writes a 32-bit value at a position and returns the position after it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  return writeUnsignedVarint(bytes, position, (value << 1) ^ (value >> 31))
}

/** Writes a safe integer at a position and returns the position after it. */
export function writeVarlong(bytes: Uint8Array, position: number, value: number): number {
  if (value === (value | 0)) return writeUnsignedVarint(bytes, position, (value << 1) ^ (value >> 31))
  const high = Math.floor(value / TWO_TO_32)
  const low = (value - high * TWO_TO_32) | 0
  const sign = high >> 31
  const zigzagHigh = ((high << 1) | (low >>> 31)) ^ sign
  const zigzagLow = (low << 1) ^ sign
  if (zigzagHigh === 0) return writeUnsignedVarint(bytes, position, zigzagLow)
  bytes[position] = zigzagLow | 0x80
  bytes[position + 1] = (zigzagLow >>> 7) | 0x80
  bytes[position + 2] = (zigzagLow >>> 14) | 0x80
  bytes[position + 3] = (zigzagLow >>> 21) | 0x80
  const fifth = (zigzagLow >>> 28) | ((zigzagHigh & 0x7) << 4)
  const rest = zigzagHigh >>> 3
  if (rest === 0) {
    bytes[position + 4] = fifth
    return position + 5
  }
  bytes[position + 4] = fifth | 0x80
  return writeUnsignedVarint(bytes, position + 5, rest)
}

function unsignedVarintBytes(bits: number): number {
  const value = bits >>> 0
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  return value < 0x1000_0000 ? 4 : 5
}

function writeUnsignedVarint(bytes: Uint8Array, position: number, bits: number): number {
  let at = position
  let rest = bits >>> 0
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}
