// Query and path parameters of the Schema Registry API: those that nobody knows are passed over, of one that is repeated
// the first counts.

import type { FastifyRequest } from 'fastify'
import { registryFailure } from '../../registry/registry-failure.ts'
import type { VersionName } from '../../registry/schema-finder.ts'
import { inContext } from '../../registry/subject.ts'
import { pathText } from '../request-query.ts'
import { noSuchPath } from './failure.ts'

export function textOf(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Record<string, string | string[] | undefined>)[name]
  return Array.isArray(value) ? value[0] : value
}

export function textsOf(request: FastifyRequest, name: string): readonly string[] {
  const value = (request.query as Record<string, string | string[] | undefined>)[name]
  return value === undefined ? [] : [value].flat()
}

export function flagOf(request: FastifyRequest, name: string): boolean {
  return textOf(request, name)?.toLowerCase() === 'true'
}

/** `limitDefault` where none is given that can be; undefined: all. */
export function sliceOf<Item>(request: FastifyRequest, items: readonly Item[], limitDefault?: number): readonly Item[] {
  const offset = Math.max(0, numberOf(textOf(request, 'offset')) ?? 0)
  const asked = numberOf(textOf(request, 'limit')) ?? 0
  const limit = asked > 0 && (limitDefault === undefined || asked <= limitDefault) ? asked : limitDefault
  return items.slice(offset, limit === undefined ? undefined : offset + limit)
}

/** route_not_found for what is no number. */
function numberOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^[-+]?\d{1,15}$/.test(text)) throw noSuchPath()
  return Number(text)
}

export function idOf(request: FastifyRequest): number {
  return numberOf(pathText(request, 'id')) ?? 0
}

/** 42202. */
export function versionOf(request: FastifyRequest): VersionName {
  const text = pathText(request, 'version').trim()
  if (text.toLowerCase() === 'latest' || text === '-1') return 'latest'
  const version = /^\d{1,10}$/.test(text) ? Number(text) : 0
  if (version >= 1 && version <= 2 ** 31 - 1) return version
  throw registryFailure(
    42202,
    `The specified version '${text.slice(0, 100)}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string "latest"`,
  )
}

/** Where the path begins with a context; undefined elsewhere. */
export function contextOf(request: FastifyRequest): string | undefined {
  const text = pathText(request, 'context')
  if (text === '') return undefined
  const name = text.replace(/^:/, '').replace(/:$/, '')
  const context = name.startsWith('.') ? name : `.${name}`
  if (context.includes(':')) throw registryFailure(400, `The context '${text.slice(0, 100)}' has a colon in it`)
  return context
}

/** A subject in the context of the path. '': the context itself. */
export function subjectIn(request: FastifyRequest, text: string): string {
  const context = contextOf(request)
  return context === undefined ? text : inContext(context, text)
}

export function subjectOf(request: FastifyRequest): string {
  return subjectIn(request, pathText(request, 'subject'))
}
