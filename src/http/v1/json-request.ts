// A small JSON body, as its named schema says.

import type { FastifyRequest } from 'fastify'
import { JSON_BODY_BYTES_MAX } from '../../kernel/limits.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, checkContentType, JSON_MEDIA_TYPE } from '../media-type.ts'
import { RequestQuery } from '../request-query.ts'

/** As readJson does; a body that is missing is an empty object. */
export async function readOptionalJson<Body>(floor: HttpFloor, request: FastifyRequest, schema: string): Promise<Body> {
  checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
  new RequestQuery(request, [])
  const bytes = await floor.bodies.read(request.raw, JSON_BODY_BYTES_MAX)
  if (bytes.length === 0) return floor.json.parse<Body>(EMPTY_OBJECT, schema)
  checkContentType(request.headers['content-type'], JSON_MEDIA_TYPE)
  return floor.json.parse<Body>(bytes, schema)
}

const EMPTY_OBJECT = Buffer.from('{}')

/** Of a request that has no query and is answered with JSON. */
export async function readJson<Body>(
  floor: HttpFloor,
  request: FastifyRequest,
  schema: string,
  bytesMax = JSON_BODY_BYTES_MAX,
): Promise<Body> {
  checkContentType(request.headers['content-type'], JSON_MEDIA_TYPE)
  checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
  new RequestQuery(request, [])
  return floor.json.parse<Body>(await floor.bodies.read(request.raw, bytesMax), schema)
}
