// Replies of the Schema Registry API. What is empty is left out.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { StoredSchema } from '../../registry/schema-entity.ts'
import type { SchemaSettings } from '../../registry/schema-entries.ts'
import { SETTING_NAMES } from '../../registry/schema-entries.ts'
import { DEFAULT_LEVEL } from '../../registry/schema-scopes.ts'
import { bytesOfJson } from '../problem.ts'
import { replyTypeFor } from './negotiation.ts'

export function send(request: FastifyRequest, reply: FastifyReply, value: unknown): FastifyReply {
  return reply.header('content-type', replyTypeFor(request.headers.accept)).send(bytesOfJson(value, '\n'))
}

/** A schema's text as the whole body, to the letter. */
export function sendText(request: FastifyRequest, reply: FastifyReply, text: string): FastifyReply {
  return reply.header('content-type', replyTypeFor(request.headers.accept)).send(Buffer.from(text))
}

/** Whose shapes replies have: of Confluent's 7 or 8. */
export type CompatProfile = 7 | 8

export interface SchemaReplies {
  /** A version of a subject. `schema`: its text, in the form that was asked for. */
  entity(stored: ViewedSchema, schema: string): object
  /** What was registered. `isFilledIn`: it is not what was asked for to the letter. */
  registered(stored: StoredSchema, schema: string, isFilledIn: boolean): object
  /** A schema by its id; with its subject and version where the request named a subject. */
  byId(stored: ViewedSchema, schema: string, isPlaced: boolean): object
}

export function schemaReplies(profile: CompatProfile): SchemaReplies {
  const shown = (members: Record<string, unknown>) => (profile === 7 ? asBefore8(members) : members)
  return {
    entity: ({ subject, version, id, ...stored }, schema) =>
      shown({ subject, version, id, ...contentJson(stored, schema) }),
    registered({ id, version, ...stored }, schema, isFilledIn) {
      if (profile === 7 && !isFilledIn) return { id }
      return shown({ id, version, ...contentJson(stored, schema) })
    },
    byId({ subject, version, ...stored }, schema, isPlaced) {
      return shown({ ...(isPlaced ? { subject, version } : {}), ...contentJson(stored, schema) })
    },
  }
}

/** Those who know no other type have it go without saying. */
function asBefore8({ guid: _guid, ts: _ts, deleted: _deleted, schemaType, ...rest }: Record<string, unknown>): object {
  return schemaType === 'AVRO' ? rest : { ...rest, schemaType }
}

/** With what a request asks for beside it. */
export interface ViewedSchema extends StoredSchema {
  readonly schemaTags?: readonly object[]
}

type Content = Omit<ViewedSchema, 'subject' | 'version' | 'id'>

function contentJson(
  { guid, schemaType, references, metadata, ruleSet, schemaTags = [], ts, deleted }: Content,
  schema: string,
): Record<string, unknown> {
  return {
    guid,
    schemaType,
    ...(references.length === 0 ? {} : { references }),
    ...(isEmpty(metadata) ? {} : { metadata }),
    ...(isEmpty(ruleSet) ? {} : { ruleSet }),
    schema,
    ...(schemaTags.length === 0 ? {} : { schemaTags }),
    ...(ts === undefined ? {} : { ts }),
    ...(deleted ? { deleted } : {}),
  }
}

function isEmpty(value: object | undefined): boolean {
  return value === undefined || Object.keys(value).length === 0
}

/** As GET and DELETE show settings, and with `compatibility` for the level's name as PUT does. */
export function settingsJson(settings: SchemaSettings, levelName: 'compatibilityLevel' | 'compatibility'): object {
  const shown = SETTING_NAMES.flatMap((name) => {
    if (name === 'compatibilityLevel' || settings[name] === undefined) return []
    return [[name, settings[name]]]
  })
  const level = settings['compatibilityLevel'] ?? (levelName === 'compatibility' ? undefined : DEFAULT_LEVEL)
  return { ...Object.fromEntries(shown), ...(level === undefined ? {} : { [levelName]: level }) }
}
