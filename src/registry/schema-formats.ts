// The formats that schemas have here.

import { avroFormat } from './avro/avro-format.ts'
import { jsonSchemaFormat } from './json-schema/json-schema-format.ts'
import { protobufFormat } from './protobuf/protobuf-format.ts'
import type { SchemaFormats } from './schema-parser.ts'

export const SCHEMA_FORMATS: SchemaFormats = { AVRO: avroFormat, JSON: jsonSchemaFormat, PROTOBUF: protobufFormat }
