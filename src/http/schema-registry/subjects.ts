// /subjects: what is registered under which name.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { REGISTRY_LIST_MAX } from '../../kernel/limits.ts'
import { schemaNotFound } from '../../registry/registry-failure.ts'
import type { StoredSchema } from '../../registry/schema-entity.ts'
import { parseSubject, prefixOf } from '../../registry/subject.ts'
import type { HttpFloor } from '../http-floor.ts'
import { bodyOf, parseSchemaRequest } from './registry-bodies.ts'
import { flagOf, sliceOf, subjectIn, subjectOf, textOf, textsOf, versionOf } from './registry-query.ts'
import { entityJson, registeredJson, send, sendText } from './registry-replies.ts'
import { registryRoutes } from './registry-route.ts'

export function subjectRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { registry, add } = registryRoutes(app, floor)

  const subjectAsked = (request: FastifyRequest): string => registry.aliased(subjectOf(request))
  const formatted = (request: FastifyRequest, stored: StoredSchema): string => {
    const format = textOf(request, 'format')
    return format === undefined || format === '' ? stored.schema : registry.parsed(stored).formatted(format)
  }

  add('GET', '/subjects', (request, reply) => {
    const asked = subjectIn(request, textOf(request, 'subjectPrefix') ?? '')
    const { context, prefix } = prefixOf(asked)
    const isDeletedOnly = flagOf(request, 'deletedOnly')
    const found = [...registry.state.subjects].filter((subject) => {
      const parsed = parseSubject(subject)
      if ((context !== undefined && parsed.context !== context) || !parsed.name.startsWith(prefix)) return false
      const isDeleted = registry.state.versions(subject).every(({ schema }) => schema.deleted)
      return isDeletedOnly ? isDeleted : flagOf(request, 'deleted') || !isDeleted
    })
    return send(request, reply, sliceOf(request, found.sort()))
  })
  add('POST', '/subjects/:subject', async (request, reply) => {
    const body = parseSchemaRequest(await bodyOf(floor, request))
    const options = { normalize: flagOf(request, 'normalize'), deleted: flagOf(request, 'deleted') }
    const stored = registry.lookup(subjectAsked(request), body, options)
    return send(request, reply, entityJson(stored, formatted(request, stored)))
  })
  add('GET', '/subjects/:subject/metadata', (request, reply) => {
    const subject = subjectAsked(request)
    const keys = textsOf(request, 'key')
    const values = textsOf(request, 'value')
    const isDeleted = flagOf(request, 'deleted')
    registry.versions(subject, { deleted: isDeleted })
    const stored = registry.state
      .versions(subject)
      .map(({ schema }) => schema)
      .findLast((one) => {
        const { properties = {} } = one.metadata ?? {}
        return (
          (isDeleted || !one.deleted) &&
          keys.every((key, at) => Object.hasOwn(properties, key) && properties[key] === values[at])
        )
      })
    if (stored === undefined) throw schemaNotFound()
    return send(request, reply, entityJson(stored, formatted(request, stored)))
  })
  add('DELETE', '/subjects/:subject', async (request, reply) => {
    return send(request, reply, await registry.deleteSubject(subjectAsked(request), flagOf(request, 'permanent')))
  })

  add('GET', '/subjects/:subject/versions', (request, reply) => {
    const options = { deleted: flagOf(request, 'deleted'), deletedOnly: flagOf(request, 'deletedOnly') }
    return send(request, reply, sliceOf(request, registry.versions(subjectAsked(request), options)))
  })
  add('POST', '/subjects/:subject/versions', async (request, reply) => {
    const body = parseSchemaRequest(await bodyOf(floor, request))
    const options = { normalize: flagOf(request, 'normalize'), force: flagOf(request, 'force') }
    const { schema } = await registry.register(subjectAsked(request), body, options)
    return send(request, reply, registeredJson(schema, formatted(request, schema)))
  })
  add('GET', '/subjects/:subject/versions/:version', (request, reply) => {
    const stored = registry.version(subjectAsked(request), versionOf(request), flagOf(request, 'deleted'))
    return send(request, reply, entityJson(stored, formatted(request, stored)))
  })
  add('GET', '/subjects/:subject/versions/:version/schema', (request, reply) => {
    const stored = registry.version(subjectAsked(request), versionOf(request), flagOf(request, 'deleted'))
    return sendText(request, reply, formatted(request, stored))
  })
  add('GET', '/subjects/:subject/versions/:version/referencedby', (request, reply) => {
    const ids = registry.referencedBy(subjectAsked(request), versionOf(request), flagOf(request, 'deleted'))
    return send(request, reply, sliceOf(request, ids, REGISTRY_LIST_MAX))
  })
  add('DELETE', '/subjects/:subject/versions/:version', async (request, reply) => {
    const version = versionOf(request)
    return send(
      request,
      reply,
      await registry.deleteVersion(subjectAsked(request), version, flagOf(request, 'permanent')),
    )
  })
}
