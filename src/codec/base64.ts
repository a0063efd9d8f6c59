// Base64 as RFC 4648 section 4 has it, and nothing beside: this alphabet, padding, no white space, no stray bits at the
// end. Node's own decoder passes over what it does not know, so bytes would be stored that nobody sent.

const PAD = 0x3d
const NO_DIGIT = 64

const digitOf = new Uint8Array(256).fill(NO_DIGIT)
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
for (let digit = 0; digit < ALPHABET.length; digit++) digitOf[ALPHABET.charCodeAt(digit)] = digit

/** The bytes that the text in [start, end) stands for; undefined when it is not base64. */
export function decodeBase64(bytes: Buffer, start: number, end: number): Buffer | undefined {
  if ((end - start) % 4 !== 0) return undefined
  let digitsEnd = end
  while (digitsEnd > start && end - digitsEnd < 2 && bytes[digitsEnd - 1] === PAD) digitsEnd--
  let digit = 0
  for (let position = start; position < digitsEnd; position++) {
    digit = digitOf[bytes[position] as number] as number
    if (digit === NO_DIGIT) return undefined
  }
  // A digit before the padding holds 2 or 4 bits of no byte: were they not 0, two texts would mean the same bytes.
  if (end - digitsEnd === 1 && (digit & 0b11) !== 0) return undefined
  if (end - digitsEnd === 2 && (digit & 0b1111) !== 0) return undefined
  return Buffer.from(bytes.toString('latin1', start, digitsEnd), 'base64')
}
