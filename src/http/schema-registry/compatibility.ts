// /compatibility: whether a schema could be registered.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { asTailraceError } from '../../kernel/errors.ts'
import { registryCodeOf } from '../../registry/registry-failure.ts'
import type { VersionName } from '../../registry/schema-finder.ts'
import type { CompatibilityAnswer } from '../../registry/schema-registry.ts'
import type { HttpFloor } from '../http-floor.ts'
import { bodyOf, parseSchemaRequest } from './registry-bodies.ts'
import { flagOf, subjectOf, versionOf } from './registry-query.ts'
import { send } from './registry-replies.ts'
import { registryRoutes } from './registry-route.ts'

const INVALID_SCHEMA = 42201

export function compatibilityRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { registry, add } = registryRoutes(app, floor)

  const test = async (request: FastifyRequest, version: VersionName | 'all') => {
    const body = parseSchemaRequest(await bodyOf(floor, request))
    const isVerbose = flagOf(request, 'verbose')
    try {
      const subject = registry.aliased(subjectOf(request))
      return render(registry.testCompatibility(subject, version, body, flagOf(request, 'normalize')), isVerbose)
    } catch (error) {
      const failure = asTailraceError(error)
      // who asks for reasons is given this one as well
      if (!isVerbose || registryCodeOf(failure) !== INVALID_SCHEMA) throw failure
      return render({ isCompatible: false, messages: [failure.message] }, true)
    }
  }

  add('POST', '/compatibility/subjects/:subject/versions/:version', async (request, reply) =>
    send(request, reply, await test(request, versionOf(request))),
  )
  add('POST', '/compatibility/subjects/:subject/versions', async (request, reply) =>
    send(request, reply, await test(request, 'all')),
  )
}

function render({ isCompatible, messages }: CompatibilityAnswer, isVerbose: boolean): object {
  return isVerbose ? { is_compatible: isCompatible, messages } : { is_compatible: isCompatible }
}
