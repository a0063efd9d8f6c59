// /config and /mode: what holds for a subject, a context or all.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { registryFailure, subjectNotFound } from '../../registry/registry-failure.ts'
import { DEFAULT_MODE, scopeOf } from '../../registry/schema-scopes.ts'
import type { HttpFloor } from '../http-floor.ts'
import { bodyOf, parseMode, parseSettings } from './registry-bodies.ts'
import { flagOf, subjectOf } from './registry-query.ts'
import { send, settingsJson } from './registry-replies.ts'
import { registryRoutes } from './registry-route.ts'

export function settingsRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { registry, add, addWrite } = registryRoutes(app, floor)

  const getSettings = (request: FastifyRequest, reply: FastifyReply) => {
    const subject = subjectOf(request)
    const own = registry.state.settings(scopeOf(subject))
    const isForAll = scopeOf(subject) === ''
    if (own === undefined && !isForAll && !flagOf(request, 'defaultToGlobal')) {
      throw registryFailure(40408, `Subject '${subject}' does not have subject-level compatibility configured`)
    }
    const shown = flagOf(request, 'defaultToGlobal') ? registry.settings(subject) : (own ?? registry.settings(subject))
    return send(request, reply, settingsJson(shown, 'compatibilityLevel'))
  }
  const putSettings = async (request: FastifyRequest, reply: FastifyReply) => {
    const changes = parseSettings(await bodyOf(floor, request))
    return send(
      request,
      reply,
      settingsJson(await registry.changeSettings(subjectOf(request), changes), 'compatibility'),
    )
  }
  const deleteSettings = async (request: FastifyRequest, reply: FastifyReply) => {
    const subject = subjectOf(request)
    const before = await registry.deleteSettings(subject)
    if (before === undefined && scopeOf(subject) !== '') throw subjectNotFound(subject)
    return send(request, reply, settingsJson(before ?? {}, 'compatibilityLevel'))
  }

  const getMode = (request: FastifyRequest, reply: FastifyReply) => {
    const subject = subjectOf(request)
    const own = registry.state.mode(scopeOf(subject))
    if (own === undefined && scopeOf(subject) !== '' && !flagOf(request, 'defaultToGlobal')) {
      throw registryFailure(40409, `Subject '${subject}' does not have subject-level mode configured`)
    }
    return send(request, reply, { mode: own ?? registry.mode(subject) })
  }
  const putMode = async (request: FastifyRequest, reply: FastifyReply) => {
    const mode = parseMode(await bodyOf(floor, request))
    await registry.changeMode(subjectOf(request), mode, flagOf(request, 'force'))
    return send(request, reply, mode === null ? {} : { mode })
  }
  const deleteMode = async (request: FastifyRequest, reply: FastifyReply) => {
    const subject = subjectOf(request)
    const isRecursive = flagOf(request, 'recursive')
    const before = await registry.deleteMode(subject, isRecursive)
    if (before === undefined && scopeOf(subject) === '') return send(request, reply, { mode: DEFAULT_MODE })
    if (before === undefined && !isRecursive) throw subjectNotFound(subject)
    return send(request, reply, before === undefined ? {} : { mode: before })
  }

  for (const path of ['', '/:subject']) {
    add('GET', `/config${path}`, getSettings)
    addWrite('PUT', `/config${path}`, putSettings)
    addWrite('DELETE', `/config${path}`, deleteSettings)
    add('GET', `/mode${path}`, getMode)
    addWrite('PUT', `/mode${path}`, putMode)
    addWrite('DELETE', `/mode${path}`, deleteMode)
  }
}
