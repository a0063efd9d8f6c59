// /subjects: what is registered under which name.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { asTailraceError } from '../../kernel/errors.ts'
import { REGISTRY_LIST_MAX } from '../../kernel/limits.ts'
import { registryCodeOf, registryFailure, schemaNotFound } from '../../registry/registry-failure.ts'
import type { Registered } from '../../registry/schema-registry.ts'
import { parseSubject, prefixOf } from '../../registry/subject.ts'
import type { HttpFloor } from '../http-floor.ts'
import { bodyOf, parseSchemaRequest, parseTagRequest } from './registry-bodies.ts'
import { flagOf, sliceOf, subjectIn, subjectOf, textOf, textsOf, versionOf } from './registry-query.ts'
import { send, sendText } from './registry-replies.ts'
import { registryRoutes } from './registry-route.ts'
import { viewed } from './schema-view.ts'

const INCOMPATIBLE = 40901

export function subjectRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { registry, replies, add, addWrite, formatted } = registryRoutes(app, floor)

  const subjectAsked = (request: FastifyRequest): string => registry.aliased(subjectOf(request))

  const sendRegistered = async (request: FastifyRequest, reply: FastifyReply, registered: Promise<Registered>) => {
    try {
      const { schema, isFilledIn } = await registered
      return send(request, reply, replies.registered(schema, formatted(request, schema), isFilledIn))
    } catch (error) {
      const failure = asTailraceError(error)
      const isBefore8 = floor.options.schemaRegistryProfile === 7 && registryCodeOf(failure) === INCOMPATIBLE
      throw isBefore8 ? registryFailure(409, failure.message) : failure
    }
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
    return send(request, reply, replies.entity(stored, formatted(request, stored)))
  })
  add('GET', '/subjects/:subject/metadata', (request, reply) => {
    const subject = subjectAsked(request)
    const keys = textsOf(request, 'key')
    const values = textsOf(request, 'value')
    const stored = registry.versions(subject, { deleted: flagOf(request, 'deleted') }).findLast(({ metadata }) => {
      const { properties = {} } = metadata ?? {}
      return keys.every((key, at) => Object.hasOwn(properties, key) && properties[key] === values[at])
    })
    if (stored === undefined) throw schemaNotFound()
    return send(request, reply, replies.entity(stored, formatted(request, stored)))
  })
  addWrite('DELETE', '/subjects/:subject', async (request, reply) => {
    return send(request, reply, await registry.deleteSubject(subjectAsked(request), flagOf(request, 'permanent')))
  })

  add('GET', '/subjects/:subject/versions', (request, reply) => {
    const options = { deleted: flagOf(request, 'deleted'), deletedOnly: flagOf(request, 'deletedOnly') }
    const isNegative = flagOf(request, 'deletedAsNegative')
    const found = registry.versions(subjectAsked(request), options)
    const numbers = found.map(({ version, deleted }) => (deleted && isNegative ? -version : version))
    return send(request, reply, sliceOf(request, numbers))
  })
  addWrite('POST', '/subjects/:subject/versions', async (request, reply) => {
    const body = parseSchemaRequest(await bodyOf(floor, request))
    const options = { normalize: flagOf(request, 'normalize'), force: flagOf(request, 'force') }
    return sendRegistered(request, reply, registry.register(subjectAsked(request), body, options))
  })
  add('GET', '/subjects/:subject/versions/:version', (request, reply) => {
    const stored = registry.version(subjectAsked(request), versionOf(request), flagOf(request, 'deleted'))
    return send(request, reply, replies.entity(viewed(request, stored), formatted(request, stored)))
  })
  add('GET', '/subjects/:subject/versions/:version/schema', (request, reply) => {
    const stored = registry.version(subjectAsked(request), versionOf(request), flagOf(request, 'deleted'))
    return sendText(request, reply, formatted(request, stored))
  })
  add('GET', '/subjects/:subject/versions/:version/referencedby', (request, reply) => {
    const ids = registry.referencedBy(subjectAsked(request), versionOf(request), flagOf(request, 'deleted'))
    return send(request, reply, sliceOf(request, ids, REGISTRY_LIST_MAX))
  })
  addWrite('POST', '/subjects/:subject/versions/:version/tags', async (request, reply) => {
    const changes = parseTagRequest(await bodyOf(floor, request))
    const version = versionOf(request)
    return sendRegistered(request, reply, registry.registerChanged(subjectAsked(request), version, changes))
  })
  addWrite('DELETE', '/subjects/:subject/versions/:version', async (request, reply) => {
    const version = versionOf(request)
    return send(
      request,
      reply,
      await registry.deleteVersion(subjectAsked(request), version, flagOf(request, 'permanent')),
    )
  })
}
