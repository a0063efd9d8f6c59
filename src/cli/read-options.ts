// What the commands that print records are told of which ones, and in which form.

import type { AvroUnions } from '../client/api.ts'
import type { ConnectOptions } from './connect.ts'
import type { RecordOutput } from './table.ts'

export interface ReadVerbOptions extends ConnectOptions {
  readonly output?: RecordOutput
  readonly partition?: readonly number[]
  readonly key?: string
  readonly header?: readonly (readonly [name: string, value: string])[]
  readonly filter?: string
  readonly keyFormat?: string
  readonly valueFormat?: string
  readonly unions?: AvroUnions
}

/** As the client takes them. */
export function readOptions(options: ReadVerbOptions) {
  const { partition: partitions, key, header, filter, keyFormat, valueFormat, unions } = options
  const headers = header?.map(([name, value]) => `${name}:${value}`)
  return { partitions, key, headers, filter, keyFormat, valueFormat, unions }
}
