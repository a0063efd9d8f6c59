// What the library found wrong in a value, in few words: the place, and what is allowed there.

import type { ErrorObject } from 'ajv'

/** Reasons of branches that are told. */
const BRANCHES_SHOWN_MAX = 3
const ALLOWED_CHARS_MAX = 200

/** Of the errors that the library has left: those of branches stand in front of that of their anyOf or oneOf. */
export function faultOf(errors: readonly ErrorObject[] | null | undefined): string {
  const outer = errors?.at(-1)
  const first = errors?.[0]
  if (errors === null || errors === undefined || outer === undefined || first === undefined) return '#: it does not fit'
  if (!isChoice(outer)) return `${placeOf(first)}: ${reasonOf(first)}`
  return `${placeOf(outer)}: ${branchesOf(outer, errors.slice(0, -1))}`
}

function isChoice({ keyword }: ErrorObject): boolean {
  return keyword === 'anyOf' || keyword === 'oneOf'
}

function placeOf({ instancePath }: ErrorObject): string {
  return `#${instancePath}`
}

function reasonOf({ message = 'it does not fit', params }: ErrorObject): string {
  const allowed = params['allowedValues'] ?? params['allowedValue'] ?? params['additionalProperty']
  return allowed === undefined ? message : `${message}: ${JSON.stringify(allowed).slice(0, ALLOWED_CHARS_MAX)}`
}

function branchesOf(outer: ErrorObject, inner: readonly ErrorObject[]): string {
  const { passingSchemas } = outer.params
  if (Array.isArray(passingSchemas)) return `${outer.message}, and matches those at ${passingSchemas.join(' and ')}`
  const leaves = inner.filter((error) => !isChoice(error))
  const isOfTypes = leaves.every((error) => error.keyword === 'type' && error.instancePath === outer.instancePath)
  if (isOfTypes && leaves.length > 0) {
    const types = new Set(leaves.flatMap(({ params }) => params['type'] as string | readonly string[]))
    return `must be ${[...types].join(' or ')}`
  }
  const reasons = [...new Set(leaves.map((error) => reasonIn(outer, error)))]
  const more = reasons.length - BRANCHES_SHOWN_MAX
  const shown = reasons.slice(0, BRANCHES_SHOWN_MAX).join('; or ')
  return `${outer.message}: ${shown}${more > 0 ? `; or ${more} more` : ''}`
}

/** With its place, where that is another one. */
function reasonIn(outer: ErrorObject, error: ErrorObject): string {
  return error.instancePath === outer.instancePath ? reasonOf(error) : `${placeOf(error)} ${reasonOf(error)}`
}
