// Replies of the Schema Registry API. What is empty is left out.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { StoredSchema } from '../../registry/schema-entity.ts'
import type { SchemaSettings } from '../../registry/schema-entries.ts'
import { SETTING_NAMES } from '../../registry/schema-entries.ts'
import { DEFAULT_LEVEL } from '../../registry/schema-scopes.ts'
import { bytesOfJson } from '../problem.ts'
import { replyTypeFor } from './negotiation.ts'

export function send(request: FastifyRequest, reply: FastifyReply, value: unknown): FastifyReply {
  return reply.header('content-type', replyTypeFor(request.headers.accept)).send(bytesOfJson(value))
}

/** A schema's text as the whole body. */
export function sendText(request: FastifyRequest, reply: FastifyReply, text: string): FastifyReply {
  return reply.header('content-type', replyTypeFor(request.headers.accept)).send(Buffer.from(text))
}

/** A version of a subject. `schema`: its text, in the form that was asked for. */
export function entityJson(stored: StoredSchema, schema = stored.schema): object {
  const { subject, version, id, guid, ts, deleted } = stored
  return {
    subject,
    version,
    id,
    guid,
    ...contentJson(stored, schema),
    ...(ts === undefined ? {} : { ts }),
    ...(deleted ? { deleted } : {}),
  }
}

/** What was registered. */
export function registeredJson(stored: StoredSchema, schema = stored.schema): object {
  const { subject: _subject, version, id, ...rest } = entityJson(stored, schema) as Record<string, unknown>
  return { id, version, ...rest }
}

/** A schema by its id; with its subject and version where the request named a subject. */
export function schemaJson(
  stored: StoredSchema,
  { schema, isPlaced }: { readonly schema: string; readonly isPlaced: boolean },
): object {
  const { subject, version, guid, ts, deleted } = stored
  return {
    ...(isPlaced ? { subject, version } : {}),
    guid,
    ...contentJson(stored, schema),
    ...(isPlaced && ts !== undefined ? { ts } : {}),
    ...(isPlaced && deleted ? { deleted } : {}),
  }
}

function contentJson({ schemaType, references, metadata, ruleSet }: StoredSchema, schema: string): object {
  return {
    schemaType,
    ...(references.length === 0 ? {} : { references }),
    ...(isEmpty(metadata) ? {} : { metadata }),
    ...(isEmpty(ruleSet) ? {} : { ruleSet }),
    schema,
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
