// What a schema of any format is to records: JSON in, the bytes behind a frame's head out, and back. Types only;
// value-codecs.ts has them.

import type { ByteWriter } from '../kernel/byte-writer.ts'
import type { AvroUnions } from './avro-decoder.ts'

export interface ValueCodec {
  /** Appends the bytes of the JSON value in [start, end), which is well-formed. SchemaDataError: it is not of the schema. */
  encode(bytes: Buffer, start: number, end: number, output: ByteWriter): void
  /** Appends the JSON of the value in [start, end). SchemaDataError: it is none of the schema; part of it may be written then. */
  decode(bytes: Buffer, start: number, end: number, output: ByteWriter, unions: AvroUnions): void
}
