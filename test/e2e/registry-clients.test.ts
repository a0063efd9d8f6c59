// The Schema Registry under the clients that others have written for Confluent's, as their documentation tells to use them.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startServer } from '../support/http.ts'
import { clientPackage, clientsMissing } from '../support/registry-clients.ts'

const ORDER = {
  type: 'record',
  name: 'Order',
  namespace: 'shop',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'total', type: 'double' },
    { name: 'note', type: ['null', 'string'], default: null },
  ],
}
const WITH_CURRENCY = { ...ORDER, fields: [...ORDER.fields, { name: 'currency', type: 'string', default: 'EUR' }] }
const WITHOUT_TOTAL_DEFAULT = { ...ORDER, fields: [...ORDER.fields, { name: 'weight', type: 'int' }] }

const ORDER_JSON = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Order',
  type: 'object',
  additionalProperties: false,
  properties: { id: { type: 'integer' }, note: { type: 'string' } },
  required: ['id'],
}

const ORDER_PROTO = `syntax = "proto3";
package shop;

message Order {
  int64 id = 1;
  string note = 2;
  repeated Line lines = 3;

  message Line {
    string item = 1;
    int32 count = 2;
  }
}
`

describe('@kafkajs/confluent-schema-registry', { skip: clientsMissing }, () => {
  const { SchemaRegistry, SchemaType, COMPATIBILITY } = clientsMissing
    ? {}
    : clientPackage('@kafkajs/confluent-schema-registry')
  const quick = { retries: 0 }

  it('registers an Avro schema, gives it by id, by version, as the latest and by its text', async (t) => {
    const { url } = await startServer(t)
    const registry = new SchemaRegistry({ host: url, retry: quick })
    const { id } = await registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(ORDER) })
    assert.equal(id, 1)
    assert.equal((await registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(ORDER) })).id, id)
    const next = await registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(WITH_CURRENCY) })
    assert.equal(next.id, 2)
    const other = new SchemaRegistry({ host: url, retry: quick })
    assert.equal(await other.getRegistryId('shop.Order', 1), id)
    assert.equal(await other.getLatestSchemaId('shop.Order'), 2)
    assert.equal(
      await other.getRegistryIdBySchema('shop.Order', { type: SchemaType.AVRO, schema: JSON.stringify(ORDER) }),
      id,
    )
    assert.equal((await other.getSchema(id)).name, 'shop.Order')
  })

  it('writes with one schema and reads with another', async (t) => {
    const { url } = await startServer(t)
    const registry = new SchemaRegistry({ host: url, retry: quick })
    const { id } = await registry.register(
      { type: SchemaType.AVRO, schema: JSON.stringify(ORDER) },
      { subject: 'orders-value' },
    )
    const bytes = await registry.encode(id, { id: 7, total: 1.5, note: 'x' })
    const reader = new SchemaRegistry({ host: url, retry: quick })
    assert.deepEqual({ ...(await reader.decode(bytes)) }, { id: 7, total: 1.5, note: 'x' })
    const evolved = await reader.decode(bytes, { [SchemaType.AVRO]: { readerSchema: WITH_CURRENCY } })
    assert.deepEqual({ ...evolved }, { id: 7, total: 1.5, note: 'x', currency: 'EUR' })
  })

  it('is refused what is not compatible, with the words of the registry', async (t) => {
    const { url } = await startServer(t)
    const registry = new SchemaRegistry({ host: url, retry: quick })
    const options = { subject: 'orders-value', compatibility: COMPATIBILITY.BACKWARD }
    await registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(ORDER) }, options)
    await assert.rejects(
      registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(WITHOUT_TOTAL_DEFAULT) }, options),
      (error: { name: string; status: number; message: string }) => {
        assert.equal(error.status, 409)
        assert.match(error.message, /incompatible with an earlier schema for subject "orders-value"/)
        return true
      },
    )
    await assert.rejects(
      registry.register(
        { type: SchemaType.AVRO, schema: JSON.stringify(WITH_CURRENCY) },
        { ...options, compatibility: COMPATIBILITY.FULL },
      ),
      /Compatibility does not match the configuration \(FULL != BACKWARD\)/,
    )
    await assert.rejects(registry.getLatestSchemaId('nope'), /Subject 'nope' not found/)
    await assert.rejects(registry.getSchema(99), /Schema 99 not found/)
  })

  it('follows references in Avro, JSON Schema and Protobuf', async (t) => {
    const { url } = await startServer(t)
    const registry = new SchemaRegistry({ host: url, retry: quick })
    const item = { type: 'record', name: 'Item', namespace: 'shop', fields: [{ name: 'sku', type: 'string' }] }
    await registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(item) }, { subject: 'item' })
    const basket = {
      type: 'record',
      name: 'Basket',
      namespace: 'shop',
      fields: [{ name: 'items', type: { type: 'array', items: 'shop.Item' } }],
    }
    const references = [{ name: 'shop.Item', subject: 'item', version: 1 }]
    const avro = await registry.register(
      { type: SchemaType.AVRO, schema: JSON.stringify(basket), references },
      { subject: 'basket' },
    )

    const itemJson = {
      $id: 'https://shop.example/item.json',
      type: 'object',
      properties: { sku: { type: 'string' } },
      required: ['sku'],
    }
    await registry.register({ type: SchemaType.JSON, schema: JSON.stringify(itemJson) }, { subject: 'item-json' })
    const basketJson = {
      $id: 'https://shop.example/basket.json',
      type: 'object',
      properties: { items: { type: 'array', items: { $ref: 'https://shop.example/item.json' } } },
    }
    const json = await registry.register(
      {
        type: SchemaType.JSON,
        schema: JSON.stringify(basketJson),
        references: [{ name: 'https://shop.example/item.json', subject: 'item-json', version: 1 }],
      },
      { subject: 'basket-json' },
    )

    await registry.register(
      {
        type: SchemaType.PROTOBUF,
        schema: 'syntax = "proto3";\npackage shop;\n\nmessage Item {\n  string sku = 1;\n}\n',
      },
      { subject: 'item-proto' },
    )
    const proto = await registry.register(
      {
        type: SchemaType.PROTOBUF,
        schema:
          'syntax = "proto3";\npackage shop;\n\nimport "item.proto";\n\nmessage Basket {\n  repeated Item items = 1;\n}\n',
        references: [{ name: 'item.proto', subject: 'item-proto', version: 1 }],
      },
      { subject: 'basket-proto' },
    )
    const value = { items: [{ sku: 'a' }, { sku: 'b' }] }
    for (const { id } of [avro, json, proto]) {
      const bytes = await registry.encode(id, value)
      const read = await new SchemaRegistry({ host: url, retry: quick }).decode(bytes)
      assert.deepEqual(JSON.parse(JSON.stringify(read)), value)
    }
  })

  it('uses JSON Schema and Protobuf', async (t) => {
    const { url } = await startServer(t)
    const registry = new SchemaRegistry({ host: url, retry: quick })
    const json = await registry.register(
      { type: SchemaType.JSON, schema: JSON.stringify(ORDER_JSON) },
      { subject: 'json-value' },
    )
    assert.deepEqual(await registry.decode(await registry.encode(json.id, { id: 1 })), { id: 1 })
    await assert.rejects(registry.encode(json.id, { id: 'one' }))
    const proto = await registry.register(
      { type: SchemaType.PROTOBUF, schema: ORDER_PROTO },
      { subject: 'proto-value' },
    )
    const order = { id: '5', note: 'n', lines: [{ item: 'i', count: 2 }] }
    const read = await new SchemaRegistry({ host: url, retry: quick }).decode(
      await registry.encode(proto.id, { ...order, id: 5 }),
    )
    assert.deepEqual(JSON.parse(JSON.stringify(read)), order)
  })
})

describe('@confluentinc/schemaregistry', { skip: clientsMissing }, () => {
  const confluent = clientsMissing ? {} : clientPackage('@confluentinc/schemaregistry')
  const protobuf = clientsMissing ? {} : clientPackage('@bufbuild/protobuf')
  const wkt = clientsMissing ? {} : clientPackage('@bufbuild/protobuf/wkt')
  const clientOf = (url: string) => confluent.SchemaRegistryClient.newClient({ baseURLs: [url], maxRetries: 0 })

  it('registers, looks up, lists and deletes', async (t) => {
    const { url } = await startServer(t)
    const client = clientOf(url)
    const info = { schemaType: 'AVRO', schema: JSON.stringify(ORDER) }
    const registered = await client.registerFullResponse('orders-value', info)
    assert.equal(registered.id, 1)
    assert.equal(registered.version, 1)
    assert.match(registered.guid, /^[0-9a-f-]{36}$/)
    assert.equal(
      await client.register('orders-value', { schemaType: 'AVRO', schema: JSON.stringify(WITH_CURRENCY) }),
      2,
    )

    const fresh = clientOf(url)
    assert.deepEqual(JSON.parse((await fresh.getBySubjectAndId('orders-value', 1)).schema), ORDER)
    assert.deepEqual(JSON.parse((await fresh.getByGuid(registered.guid)).schema), ORDER)
    assert.equal(await fresh.getId('orders-value', info), 1)
    assert.equal(await fresh.getVersion('orders-value', info), 1)
    assert.equal((await fresh.getLatestSchemaMetadata('orders-value')).version, 2)
    assert.equal((await fresh.getSchemaMetadata('orders-value', 1)).id, 1)
    assert.deepEqual(await fresh.getAllSubjects(), ['orders-value'])
    assert.deepEqual(await fresh.getAllVersions('orders-value'), [1, 2])
    assert.equal(await fresh.deleteSubjectVersion('orders-value', 2), 2)
    assert.deepEqual(await fresh.deleteSubject('orders-value'), [1])
    assert.deepEqual(await fresh.deleteSubject('orders-value', true), [1, 2])
    assert.deepEqual(await fresh.getAllSubjects(), [])
    await assert.rejects(clientOf(url).getLatestSchemaMetadata('orders-value'), { status: 404, errorCode: 40401 })
  })

  it('finds the newest version with metadata', async (t) => {
    const { url } = await startServer(t)
    const client = clientOf(url)
    const info = { schemaType: 'AVRO', schema: JSON.stringify(ORDER), metadata: { properties: { owner: 'billing' } } }
    await client.register('orders-value', info)
    await client.register('orders-value', {
      ...info,
      schema: JSON.stringify(WITH_CURRENCY),
      metadata: { properties: { owner: 'sales' } },
    })
    const found = await clientOf(url).getLatestWithMetadata('orders-value', { owner: 'billing' })
    assert.equal(found.version, 1)
    assert.deepEqual(found.metadata.properties, { owner: 'billing' })
  })

  it('reads and sets levels, and asks whether a schema would do', async (t) => {
    const { url } = await startServer(t)
    const client = clientOf(url)
    assert.equal(await client.getDefaultCompatibility(), 'BACKWARD')
    await client.register('orders-value', { schemaType: 'AVRO', schema: JSON.stringify(ORDER) })
    const breaking = { schemaType: 'AVRO', schema: JSON.stringify(WITHOUT_TOTAL_DEFAULT) }
    assert.equal(await client.testSubjectCompatibility('orders-value', breaking), false)
    assert.equal(await client.testCompatibility('orders-value', 1, breaking), false)
    await assert.rejects(client.register('orders-value', breaking), { status: 409, errorCode: 40901 })
    assert.equal(await client.updateCompatibility('orders-value', 'NONE'), 'NONE')
    assert.equal(await clientOf(url).getCompatibility('orders-value'), 'NONE')
    assert.equal(await client.testSubjectCompatibility('orders-value', breaking), true)
    assert.equal(await client.register('orders-value', breaking), 2)
    assert.equal(await client.updateDefaultCompatibility('FULL'), 'FULL')
    assert.equal((await clientOf(url).getDefaultConfig()).compatibilityLevel, 'FULL')
    const config = await client.updateConfig('orders-value', { compatibility: 'BACKWARD', normalize: true })
    assert.equal(config.normalize, true)
    await assert.rejects(clientOf(url).getCompatibility('nope'), { status: 404, errorCode: 40408 })
  })

  it('serialises and reads Avro, registering on the way or by the latest version, with the id in front or in a header', async (t) => {
    const { url } = await startServer(t)
    const order = { id: 7, total: 1.5, note: 'x' }
    await clientOf(url).register('orders-value', { schemaType: 'AVRO', schema: JSON.stringify(ORDER) })
    const latest = new confluent.AvroSerializer(clientOf(url), confluent.SerdeType.VALUE, { useLatestVersion: true })
    const bytes = await latest.serialize('orders', order)
    assert.deepEqual([...bytes.subarray(0, 5)], [0, 0, 0, 0, 1])
    const reader = new confluent.AvroDeserializer(clientOf(url), confluent.SerdeType.VALUE, {})
    assert.deepEqual({ ...(await reader.deserialize('orders', bytes)) }, order)
    const inHeader = new confluent.AvroSerializer(clientOf(url), confluent.SerdeType.VALUE, {
      useLatestVersion: true,
      schemaIdSerializer: confluent.HeaderSchemaIdSerializer,
    })
    const headers = {}
    const plain = await inHeader.serialize('orders', order, headers)
    assert.deepEqual(plain, bytes.subarray(5))
    assert.deepEqual({ ...(await reader.deserialize('orders', plain, headers)) }, order)
    const auto = new confluent.AvroSerializer(clientOf(url), confluent.SerdeType.VALUE, { autoRegisterSchemas: true })
    const registered = await auto.serialize('others', order)
    assert.deepEqual([...registered.subarray(0, 5)], [0, 0, 0, 0, 2])
    assert.deepEqual({ ...(await reader.deserialize('others', registered)) }, order)
  })

  it('follows references in Avro and JSON Schema', async (t) => {
    const { url } = await startServer(t)
    const client = clientOf(url)
    const item = { type: 'record', name: 'Item', namespace: 'shop', fields: [{ name: 'sku', type: 'string' }] }
    await client.register('item', { schemaType: 'AVRO', schema: JSON.stringify(item) })
    const basket = { type: 'record', name: 'Basket', namespace: 'shop', fields: [{ name: 'item', type: 'shop.Item' }] }
    await client.register('baskets-value', {
      schemaType: 'AVRO',
      schema: JSON.stringify(basket),
      references: [{ name: 'shop.Item', subject: 'item', version: 1 }],
    })
    const itemJson = { $id: 'item.json', type: 'object', properties: { sku: { type: 'string' } } }
    await client.register('item-json', { schemaType: 'JSON', schema: JSON.stringify(itemJson) })
    const basketJson = { type: 'object', properties: { item: { $ref: 'item.json' } } }
    await client.register('jsons-value', {
      schemaType: 'JSON',
      schema: JSON.stringify(basketJson),
      references: [{ name: 'item.json', subject: 'item-json', version: 1 }],
    })
    const value = { item: { sku: 'a' } }
    const avro = new confluent.AvroSerializer(clientOf(url), confluent.SerdeType.VALUE, { useLatestVersion: true })
    const avroReader = new confluent.AvroDeserializer(clientOf(url), confluent.SerdeType.VALUE, {})
    const read = await avroReader.deserialize('baskets', await avro.serialize('baskets', value))
    assert.deepEqual(JSON.parse(JSON.stringify(read)), value)
    const json = new confluent.JsonSerializer(clientOf(url), confluent.SerdeType.VALUE, {
      useLatestVersion: true,
      validate: true,
    })
    const jsonReader = new confluent.JsonDeserializer(clientOf(url), confluent.SerdeType.VALUE, { validate: true })
    assert.deepEqual(await jsonReader.deserialize('jsons', await json.serialize('jsons', value)), value)
    await assert.rejects(json.serialize('jsons', { item: { sku: 1 } }), /(?:must be|[Ii]nvalid)/)
  })

  it('takes subjects of any name, and contexts', async (t) => {
    const { url } = await startServer(t)
    for (const subject of ['a/b', ':.dev:orders-value', 'ü x', 'a%2Fb', 'a:b', 'x?y', '..a']) {
      const info = { schemaType: 'AVRO', schema: JSON.stringify(ORDER) }
      const id = await clientOf(url).register(subject, info)
      const client = clientOf(url)
      assert.deepEqual(JSON.parse((await client.getBySubjectAndId(subject, id)).schema), ORDER)
      assert.equal((await client.getLatestSchemaMetadata(subject)).subject, subject)
      assert.equal(await client.getVersion(subject, info), 1)
      const breaking = { schemaType: 'AVRO', schema: JSON.stringify(WITHOUT_TOTAL_DEFAULT) }
      assert.equal(await client.testSubjectCompatibility(subject, breaking), false)
    }
    assert.equal((await clientOf(url).getAllSubjects()).length, 7)
  })

  it('reads older records by the latest version', async (t) => {
    const { url } = await startServer(t)
    const client = clientOf(url)
    await client.register('orders-value', { schemaType: 'AVRO', schema: JSON.stringify(ORDER) })
    const serializer = new confluent.AvroSerializer(clientOf(url), confluent.SerdeType.VALUE, {
      useLatestVersion: true,
    })
    const bytes = await serializer.serialize('orders', { id: 7, total: 1.5, note: null })
    await client.register('orders-value', { schemaType: 'AVRO', schema: JSON.stringify(WITH_CURRENCY) })
    const reader = new confluent.AvroDeserializer(clientOf(url), confluent.SerdeType.VALUE, { useLatestVersion: true })
    assert.deepEqual(
      { ...(await reader.deserialize('orders', bytes)) },
      { id: 7, total: 1.5, note: null, currency: 'EUR' },
    )
  })

  it('works with the replies of Confluent 7 too, as the other client does', async (t) => {
    const { url } = await startServer(t, { set: { 'schema.registry.compat.profile': '7' } })
    const serializer = new confluent.AvroSerializer(clientOf(url), confluent.SerdeType.VALUE, {
      autoRegisterSchemas: true,
    })
    const bytes = await serializer.serialize('orders', { id: 7 })
    const reader = new confluent.AvroDeserializer(clientOf(url), confluent.SerdeType.VALUE, {})
    assert.deepEqual({ ...(await reader.deserialize('orders', bytes)) }, { id: 7 })
    const { SchemaRegistry } = clientPackage('@kafkajs/confluent-schema-registry')
    assert.deepEqual({ ...(await new SchemaRegistry({ host: url }).decode(bytes)) }, { id: 7 })
  })

  it('registers descriptors of Protobuf with what they import, and reads by them', async (t) => {
    const { url } = await startServer(t)
    const types = protoTypes(protobuf, wkt)
    const serializer = new confluent.ProtobufSerializer(clientOf(url), confluent.SerdeType.VALUE, {
      autoRegisterSchemas: true,
      registry: types,
    })
    const reader = new confluent.ProtobufDeserializer(clientOf(url), confluent.SerdeType.VALUE, {})
    const Basket = types.getMessage('shop.Basket')
    const Line = types.getMessage('shop.Basket.Line')
    const basket = protobuf.create(Basket, {
      item: protobuf.create(types.getMessage('shop.Item'), { sku: 'a' }),
      lines: [protobuf.create(Line, { count: 2 })],
      ...{ at: protobuf.create(wkt.TimestampSchema, { seconds: 5n }) },
    })
    const bytes = await serializer.serialize('baskets', basket)
    assert.deepEqual([...bytes.subarray(5, 6)], [0], 'the first message of the file')
    assert.deepEqual(
      protobuf.toJson(Basket, await reader.deserialize('baskets', bytes)),
      protobuf.toJson(Basket, basket),
    )
    const inner = await serializer.serialize('baskets', protobuf.create(Line, { count: 3 }))
    const read = await reader.deserialize('baskets', inner)
    assert.deepEqual([read.$typeName, read.count], ['shop.Basket.Line', 3])

    const client = clientOf(url)
    const { schema, references } = await client.getLatestSchemaMetadata('baskets-value')
    assert.match(schema, /^syntax = "proto3";\npackage shop;\n\nimport "item\.proto";/)
    assert.deepEqual(references, [{ name: 'item.proto', subject: 'item.proto', version: 1 }])
    assert.match(
      (await client.getLatestSchemaMetadata('item.proto')).schema,
      /message Item \{\n {2}string sku = 1;\n\}/,
    )
  })
})

/** What protoc would have made of item.proto and basket.proto. */
// biome-ignore lint/suspicious/noExplicitAny: the package's own, whose types are not installed here
function protoTypes(protobuf: any, wkt: any): any {
  const file = (json: object) => protobuf.fromJson(wkt.FileDescriptorProtoSchema, json)
  const one = { label: 'LABEL_OPTIONAL' }
  const many = { label: 'LABEL_REPEATED' }
  const message = (typeName: string) => ({ type: 'TYPE_MESSAGE', typeName })
  const item = file({
    name: 'item.proto',
    package: 'shop',
    syntax: 'proto3',
    messageType: [{ name: 'Item', field: [{ ...one, name: 'sku', number: 1, type: 'TYPE_STRING', jsonName: 'sku' }] }],
  })
  const basket = file({
    name: 'basket.proto',
    package: 'shop',
    syntax: 'proto3',
    dependency: ['item.proto', 'google/protobuf/timestamp.proto'],
    messageType: [
      {
        name: 'Basket',
        field: [
          { ...one, name: 'item', number: 1, ...message('.shop.Item'), jsonName: 'item' },
          { ...many, name: 'lines', number: 2, ...message('.shop.Basket.Line'), jsonName: 'lines' },
          { ...one, name: 'at', number: 3, ...message('.google.protobuf.Timestamp'), jsonName: 'at' },
        ],
        nestedType: [
          { name: 'Line', field: [{ ...one, name: 'count', number: 1, type: 'TYPE_INT32', jsonName: 'count' }] },
        ],
      },
    ],
  })
  const files = protobuf.create(wkt.FileDescriptorSetSchema, {
    file: [wkt.file_google_protobuf_timestamp.proto, item, basket],
  })
  return protobuf.createRegistry(protobuf.createFileRegistry(files))
}
