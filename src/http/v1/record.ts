// GET /v1/topics/{topic}/partitions/{partition}/records/{offset}: one record, a permalink.

import type { FastifyInstance } from 'fastify'
import { RecordJsonWriter } from '../../codec/record-json.ts'
import { ByteWriter } from '../../kernel/byte-writer.ts'
import { OFFSET_MAX, TOPIC_PARTITIONS_MAX } from '../../kernel/limits.ts'
import type { RecordSink } from '../../service/read/page.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, JSON_MEDIA_TYPE } from '../media-type.ts'
import { callerOf } from '../request-caller.ts'
import { pathInteger, RequestQuery } from '../request-query.ts'
import { FORMAT_PARAMETERS, readFormats } from './read-query.ts'
import { pathTopic } from './topics.ts'

export function recordRoutes(app: FastifyInstance, { services: { consume }, schemas }: HttpFloor): void {
  app.get('/topics/:topic/partitions/:partition/records/:offset', async (request, reply) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    const formats = readFormats(new RequestQuery(request, FORMAT_PARAMETERS), schemas)
    const partition = pathInteger(request, 'partition', { min: 0, max: TOPIC_PARTITIONS_MAX - 1 })
    const offset = pathInteger(request, 'offset', { min: 0, max: OFFSET_MAX })
    const output = new ByteWriter()
    const json = new RecordJsonWriter(output, { ...formats, lineBreaks: 'keep' })
    const sink: RecordSink = {
      begin: (topic, number, timestampType) => json.begin(topic, number, timestampType),
      write: (record) => json.write(record),
    }
    await consume.readOne(callerOf(request), pathTopic(request), { partition, offset }, sink)
    output.writeText('\n')
    return reply.type(JSON_MEDIA_TYPE).send(output.written())
  })
}
