// Protobuf's library. Loaded, at once, when the first .proto file is described: its descriptors are built as it loads, some
// ten megabytes, which a server without .proto files does not pay.

import { createRequire } from 'node:module'

type ProtobufLibrary = typeof import('@bufbuild/protobuf') &
  typeof import('@bufbuild/protobuf/reflect') &
  typeof import('@bufbuild/protobuf/wire') &
  typeof import('@bufbuild/protobuf/wkt')

const require = createRequire(import.meta.url)
let library: ProtobufLibrary | undefined

export function protobufLibrary(): ProtobufLibrary {
  library ??= {
    ...require('@bufbuild/protobuf'),
    ...require('@bufbuild/protobuf/reflect'),
    ...require('@bufbuild/protobuf/wire'),
    ...require('@bufbuild/protobuf/wkt'),
  } as ProtobufLibrary
  return library
}
