// A start shows readers what it finds behind the recovery point, though the disk may not have it: a sync may have failed
// under the process before, and the kernel forgets that. So the tail is written anew before it is synced. What must hold:
// a power cut meanwhile leaves the one tear on top of another, which looks like damage; so a mark stands behind the tail
// durably before the first byte of it is written, and is gone durably before anything is appended.
//
//   mark =>  marker  8 bytes
//            from    int64   where the tail begins: everything in front of it was synced before
//            to      int64   where it ends, and the mark begins
//            hash    16 bytes  SipHash-2-4 of the above, under a key that nobody outside knows
//
// The hash is keyed because a file may end with bytes of a client's choice, the value of a record's last header: with them
// it could have acknowledged records cut off, its own and others'.

import { TailraceError } from '../kernel/errors.ts'
import { releaseBytes } from '../kernel/release-bytes.ts'
import { SipHash } from '../kernel/siphash.ts'
import { scanBatches } from '../record/batch-reader.ts'
import { batchSizeAt } from '../record/record-batch.ts'
import { readAt } from './good-batch.ts'
import type { SegmentFile } from './segment-file.ts'

/** The tail that a start was writing anew when it ended: all batches in it were whole when it began. */
export interface TailMark {
  readonly from: number
  readonly to: number
}

const MARKER = Buffer.from('TRTAIL\x00\x01', 'latin1')
const FROM_AT = MARKER.length
const TO_AT = FROM_AT + 8
const HASH_AT = TO_AT + 8
const MARK_BYTES = HASH_AT + 16
const PIECE_BYTES = 1024 * 1024

export class TailMarks {
  readonly #hash: SipHash

  /** `key`: SIPHASH_KEY_BYTES, the same at every start of a data directory. */
  constructor(key: Buffer) {
    this.#hash = new SipHash(key)
  }

  /** The mark that a file ends with. */
  async find(file: SegmentFile, fileBytes: number): Promise<TailMark | undefined> {
    const to = fileBytes - MARK_BYTES
    if (to < 0) return undefined
    const bytes = await readAt(file, to, MARK_BYTES)
    if (bytes.length < MARK_BYTES || !bytes.subarray(0, FROM_AT).equals(MARKER)) return undefined
    const mark = { from: Number(bytes.readBigInt64BE(FROM_AT)), to }
    return mark.from <= to && this.#render(mark).equals(bytes) ? mark : undefined
  }

  #render({ from, to }: TailMark): Buffer {
    const bytes = Buffer.alloc(MARK_BYTES)
    MARKER.copy(bytes)
    bytes.writeBigInt64BE(BigInt(from), FROM_AT)
    bytes.writeBigInt64BE(BigInt(to), TO_AT)
    this.#hash.hash(bytes, 0, HASH_AT)
    for (const [at, word] of this.#hash.words.entries()) bytes.writeInt32LE(word, HASH_AT + at * 4)
    return bytes
  }

  /**
   * Makes a last segment durable up to where its good batches end, and what is behind them gone. `from` is the recovery
   * point; `mark` one that the file still ends with, which then goes on being the mark.
   */
  async settle(file: SegmentFile, path: string, tail: TailMark, mark?: TailMark): Promise<void> {
    // also where nothing is to be written: an undone write's cut may not be synced, and the next append stands in its place
    if (mark === undefined) await endAt(file, tail.to)
    if (tail.from === tail.to) return
    const marked = mark ?? tail
    await this.#write(file, marked)
    await writeAnew(file, path, { from: Math.max(marked.from, tail.from), to: tail.to })
    await file.sync()
    await endAt(file, tail.to)
  }

  async #write(file: SegmentFile, mark: TailMark): Promise<void> {
    try {
      await file.write([this.#render(mark)], mark.to)
    } catch (error) {
      // such as for want of room: a part of it would be taken for a torn batch
      await file.truncate(mark.to)
      throw error
    }
    await file.sync()
  }
}

/** Cuts a file off, durably. */
export async function endAt(file: SegmentFile, position: number): Promise<void> {
  await file.truncate(position)
  await file.sync()
}

async function writeAnew(file: SegmentFile, path: string, { from, to }: TailMark): Promise<void> {
  let wanted = PIECE_BYTES
  for (let at = from; at < to; ) {
    const bytes = await readAt(file, at, Math.min(wanted, to - at))
    // looked at again: what no sync has brought to the disk may have left the page cache since it was scanned
    const { stop, position: wholeBytes } = scanBatches(bytes)
    if (stop !== 'corrupt' && wholeBytes > 0) {
      await file.write([bytes.subarray(0, wholeBytes)], at)
      at += wholeBytes
      wanted = PIECE_BYTES
      releaseBytes(bytes)
    } else if (stop === 'cut' && bytes.length === wanted) {
      wanted = Math.max(wanted + 1, batchSizeAt(bytes, 0))
    } else {
      throw new TailraceError(
        'corrupt_message',
        `bad batch in ${path} at position ${at}: it was whole when it was read before`,
        { file: path, position: at },
      )
    }
  }
}
