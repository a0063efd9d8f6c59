// What the nodes of a registry tell each other in the group that chooses the one that writes: JSON as Confluent's Schema
// Registry has it, so that nodes of both can be in one group. The group's leader assigns; everybody gets the same.

import type { JoinedGroup } from '../engine/group-protocol.ts'
import type { Json } from './schema-shapes.ts'
import { isObject } from './schema-shapes.ts'

/** Where the others reach a node. */
export interface NodeAddress {
  readonly protocol: 'http' | 'https'
  readonly host: string
  readonly port: number
}

export interface NodeIdentity extends NodeAddress {
  readonly isEligible: boolean
  /** It is the one that writes by now. */
  readonly isWriter: boolean
}

export interface WriterAssignment {
  /** undefined: nobody may be, or several have the same address. */
  readonly writer: { readonly memberId: string; readonly address: NodeAddress } | undefined
  readonly hasSameAddresses: boolean
}

const VERSION = 1
const NO_ERROR = 0
const DUPLICATE_URLS = 1

export function urlOf({ protocol, host, port }: NodeAddress): string {
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** The one that writes stays so while it is there; else it is the lowest by its URL, of those that may. */
export function chooseWriter(members: JoinedGroup['members']): WriterAssignment {
  const nodes = members.flatMap(({ memberId, metadata }) => {
    const identity = decodeIdentity(metadata)
    return identity === undefined ? [] : [{ memberId, identity, url: urlOf(identity) }]
  })
  const hasSameAddresses = new Set(nodes.map(({ url }) => url)).size < nodes.length
  const eligible = nodes.filter(({ identity }) => identity.isEligible)
  const writing = eligible.filter(({ identity }) => identity.isWriter)
  const [lowest] = eligible.toSorted((left, right) => (left.url < right.url ? -1 : 1))
  const chosen = writing.length === 1 ? writing[0] : lowest
  return {
    writer: chosen && { memberId: chosen.memberId, address: chosen.identity },
    hasSameAddresses,
  }
}

export function encodeIdentity(identity: NodeIdentity): Uint8Array {
  return Buffer.from(JSON.stringify(identityJson(identity)))
}

export function encodeAssignment({ writer, hasSameAddresses }: WriterAssignment): Uint8Array {
  const named = writer && {
    master: writer.memberId,
    master_identity: identityJson({ ...writer.address, isEligible: true, isWriter: true }),
  }
  return Buffer.from(
    JSON.stringify({ version: VERSION, error: hasSameAddresses ? DUPLICATE_URLS : NO_ERROR, ...named }),
  )
}

/** undefined: it is none. */
export function decodeAssignment(bytes: Uint8Array): WriterAssignment | undefined {
  const json = jsonOf(bytes)
  if (json === undefined) return undefined
  const { error, master, master_identity: identity } = json
  const address = isObject(identity) ? identityOf(identity) : undefined
  const isNamed = (error ?? NO_ERROR) === NO_ERROR && typeof master === 'string' && address !== undefined
  return { writer: isNamed ? { memberId: master, address } : undefined, hasSameAddresses: error === DUPLICATE_URLS }
}

function decodeIdentity(bytes: Uint8Array): NodeIdentity | undefined {
  const json = jsonOf(bytes)
  return json && identityOf(json)
}

function identityJson({ host, port, protocol, isEligible, isWriter }: NodeIdentity): object {
  return { version: VERSION, host, port, master_eligibility: isEligible, scheme: protocol, leader: isWriter }
}

function identityOf(json: Json): NodeIdentity | undefined {
  const { host, port, scheme = 'http', master_eligibility: isEligible, leader } = json
  if (typeof host !== 'string' || typeof port !== 'number' || (scheme !== 'http' && scheme !== 'https'))
    return undefined
  const identity = { protocol: scheme, host, port, isEligible: isEligible === true, isWriter: leader === true } as const
  return URL.canParse(urlOf(identity)) ? identity : undefined
}

function jsonOf(bytes: Uint8Array): Json | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(bytes).toString())
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}
