// What the registry refuses, in the numbers and words of Confluent's Schema Registry, which its clients go by.

import type { ErrorCode } from '../kernel/errors.ts'
import { TailraceError } from '../kernel/errors.ts'

/** The number that a reply carries, with our own code for it. */
const CODE_OF = {
  400: 'invalid_request',
  422: 'invalid_request',
  409: 'incompatible_schema',
  40401: 'schema_not_found',
  40402: 'schema_not_found',
  40403: 'schema_not_found',
  40404: 'schema_not_found',
  40405: 'schema_not_found',
  40406: 'schema_not_found',
  40407: 'schema_not_found',
  40408: 'schema_not_found',
  40409: 'schema_not_found',
  40901: 'incompatible_schema',
  42201: 'invalid_schema',
  42202: 'invalid_schema',
  42203: 'invalid_schema',
  42204: 'invalid_schema',
  42205: 'invalid_schema',
  42206: 'invalid_schema',
  42208: 'invalid_schema',
  42209: 'invalid_schema',
  42210: 'invalid_schema',
  42211: 'invalid_schema',
  50002: 'overloaded',
  50003: 'overloaded',
  50004: 'overloaded',
} as const satisfies Record<number, ErrorCode>

export type RegistryErrorCode = keyof typeof CODE_OF

export function registryFailure(errorCode: RegistryErrorCode, message: string): TailraceError {
  return new TailraceError(CODE_OF[errorCode], message, { error_code: errorCode })
}

/** What another node has answered, as a failure here. */
export function refusedBy(status: number, errorCode: unknown, message: unknown): TailraceError {
  const text = typeof message === 'string' ? message : `the node that writes the registry answered ${status}`
  const known = Object.keys(CODE_OF).find((code) => Number(code) === errorCode)
  if (known !== undefined) return registryFailure(Number(known) as RegistryErrorCode, text)
  return new TailraceError(status >= 500 || status < 400 ? 'overloaded' : 'invalid_schema', text)
}

/** undefined: it is none of the registry's. */
export function registryCodeOf({ details }: TailraceError): number | undefined {
  const code = details['error_code']
  return typeof code === 'number' ? code : undefined
}

/** What is wrong with a schema that refers to an address: nothing is fetched. */
export const REMOTE_REFERENCE = 'Remote schema reference fetching over HTTP(S) is disabled'

export function subjectNotFound(subject: string): TailraceError {
  return registryFailure(40401, `Subject '${subject}' not found.`)
}

/** `beside`: the members that the request's body has, where none of them is the schema. */
export function emptySchema(beside?: readonly string[]): TailraceError {
  if (beside === undefined) return registryFailure(42201, 'Empty schema')
  const found = beside.length === 0 ? 'none' : beside.slice(0, MEMBERS_SHOWN_MAX).map(shownName).join(', ')
  return registryFailure(
    42201,
    `Empty schema: the body has no member schema (it has ${found}); a schema is sent as {"schema": "...", "schemaType": "AVRO"}, its text in a string`,
  )
}

const MEMBERS_SHOWN_MAX = 10

function shownName(name: string): string {
  return name.slice(0, 60)
}

/** Latest is -1. */
export function versionNotFound(version: number): TailraceError {
  return registryFailure(40402, `Version ${version} not found.`)
}

export function schemaNotFound(what?: string | number): TailraceError {
  return registryFailure(40403, what === undefined ? 'Schema not found' : `Schema ${what} not found`)
}
