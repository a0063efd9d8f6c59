// /schemas: schemas by their ids, whatever subject has them.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ByteRoom } from '../../kernel/byte-room.ts'
import {
  REGISTRY_LIST_CHARS_MAX,
  REGISTRY_LIST_MAX,
  REGISTRY_LIST_TURN_MS_MAX,
  REGISTRY_LIST_WAIT_MS_MAX,
  REGISTRY_LISTS_WAITING_MAX,
} from '../../kernel/limits.ts'
import { schemaNotFound } from '../../registry/registry-failure.ts'
import type { SchemaRuleSet, StoredSchema } from '../../registry/schema-entity.ts'
import { RULE_LISTS } from '../../registry/schema-entity.ts'
import type { SchemaRegistry } from '../../registry/schema-registry.ts'
import { parseSubject, prefixOf } from '../../registry/subject.ts'
import type { HttpFloor } from '../http-floor.ts'
import { pathText } from '../request-query.ts'
import { flagOf, idOf, sliceOf, subjectIn, textOf } from './registry-query.ts'
import { send, sendText } from './registry-replies.ts'
import { registryRoutes } from './registry-route.ts'
import { viewed } from './schema-view.ts'

const GUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/

export function schemaRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { registry, replies, add, addLookup, formatted } = registryRoutes(app, floor)

  /** The subject that is named, in the context of the path. */
  const subjectAsked = (request: FastifyRequest): string | undefined => {
    const text = textOf(request, 'subject')
    const subject = subjectIn(request, text ?? '')
    if (subject === '') return undefined
    return parseSubject(subject).name === '' ? subject : registry.aliased(subject)
  }

  /** All versions that have the id, deleted ones if they are asked for. */
  const sharingAsked = (request: FastifyRequest): readonly StoredSchema[] => {
    const isAsked = flagOf(request, 'deleted')
    return registry.sharing(idOf(request), subjectAsked(request)).filter(({ deleted }) => isAsked || !deleted)
  }

  addLookup('/schemas/ids/:id', (request) => {
    const subject = subjectAsked(request)
    const stored = registry.byId(idOf(request), subject)
    const json = replies.byId(
      viewed(request, stored),
      formatted(request, stored),
      textOf(request, 'subject') !== undefined,
    )
    if (!flagOf(request, 'fetchMaxId')) return json
    const { context } = parseSubject(stored.subject)
    return { ...json, maxId: Math.max(1, registry.state.maxId(context)) }
  })
  add('GET', '/schemas/ids/:id/schema', (request, reply) => {
    const stored = registry.byId(idOf(request), subjectAsked(request))
    return sendText(request, reply, formatted(request, stored))
  })
  add('GET', '/schemas/ids/:id/subjects', (request, reply) => {
    const found = sharingAsked(request)
    const subjects = [...new Set(found.map(({ subject }) => subject))].sort()
    return send(request, reply, sliceOf(request, subjects))
  })
  add('GET', '/schemas/ids/:id/versions', (request, reply) => {
    const found = sharingAsked(request)
    const versions = [...new Map(found.map(({ subject, version }) => [subject, { subject, version }])).values()]
    return send(
      request,
      reply,
      sliceOf(
        request,
        versions.sort((left, right) => (left.subject < right.subject ? -1 : 1)),
      ),
    )
  })

  const guidOf = (request: FastifyRequest): string => {
    const text = pathText(request, 'guid')
    const hex = text.toLowerCase().replaceAll('-', '')
    if (!GUID.test(text.toLowerCase())) throw schemaNotFound(text.slice(0, 100))
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }
  add('GET', '/schemas/guids/:guid', (request, reply) => {
    const stored = registry.byGuid(guidOf(request))
    return send(request, reply, replies.byId(stored, formatted(request, stored), false))
  })
  add('GET', '/schemas/guids/:guid/ids', (request, reply) =>
    send(request, reply, registry.state.idsOfGuid(guidOf(request))),
  )

  add('GET', '/schemas/types', (request, reply) => send(request, reply, ['JSON', 'PROTOBUF', 'AVRO']))

  // one after the other: each takes turns, and all at once would leave none to others
  const lists = new ByteRoom({
    clock: floor.clock,
    name: 'lists of schemas',
    bytesMax: REGISTRY_LIST_CHARS_MAX,
    waitMsMax: REGISTRY_LIST_WAIT_MS_MAX,
    waitingMax: REGISTRY_LISTS_WAITING_MAX,
  })
  add('GET', '/schemas', async (request, reply) => {
    const { context, prefix } = prefixOf(subjectIn(request, textOf(request, 'subjectPrefix') ?? ''))
    const subjects = [...registry.state.subjects].filter((subject) => {
      const parsed = parseSubject(subject)
      return (context === undefined || parsed.context === context) && parsed.name.startsWith(prefix)
    })
    const ruleType = textOf(request, 'ruleType')
    const found = subjects.sort().flatMap((subject) => {
      const versions = registry.state.versions(subject).map(({ schema }) => schema)
      const shown = versions.filter(({ deleted }) => flagOf(request, 'deleted') || !deleted)
      const asked = flagOf(request, 'latestOnly') ? shown.slice(-1) : shown
      return ruleType === undefined ? asked : asked.filter(({ ruleSet }) => hasRule(ruleSet, ruleType))
    })
    const aliases = flagOf(request, 'aliases') ? aliasesOf(registry) : undefined
    const held = await lists.enter(REGISTRY_LIST_CHARS_MAX)
    try {
      const listed = await listText(sliceOf(request, found, REGISTRY_LIST_MAX), (stored) => {
        const names = aliases?.get(stored.subject)
        const json = replies.entity(stored, formatted(request, stored))
        return names === undefined ? json : { ...json, aliases: names }
      })
      return sendText(request, reply, listed)
    } finally {
      held.leave()
    }
  })
}

/** One that its executors know by that type, such as CEL. */
function hasRule(ruleSet: SchemaRuleSet | undefined, type: string): boolean {
  return RULE_LISTS.some((list) => ruleSet?.[list]?.some((rule) => rule.type === type) === true)
}

/** A JSON array, as far as there is room for it: with one item at least. Others have their turns while it is made. */
async function listText<Item>(items: readonly Item[], jsonOf: (item: Item) => object): Promise<string> {
  let text = ''
  let turnBegan = performance.now()
  for (const item of items) {
    text += `${text === '' ? '' : ','}${JSON.stringify(jsonOf(item))}`
    if (text.length > REGISTRY_LIST_CHARS_MAX) break
    if (performance.now() - turnBegan < REGISTRY_LIST_TURN_MS_MAX) continue
    await nextTurn()
    turnBegan = performance.now()
  }
  return `[${text}]`
}

/** The names that stand for a subject, by the subject. */
function aliasesOf(registry: SchemaRegistry): ReadonlyMap<string, readonly string[]> {
  const scopes = [...registry.state.scopesWithSettings()].filter((scope) => parseSubject(scope).name !== '').sort()
  return Map.groupBy(
    scopes.filter((scope) => registry.aliased(scope) !== scope),
    (scope) => registry.aliased(scope),
  )
}
