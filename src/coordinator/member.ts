// One member of a group, as the group knows it.

import type { GroupProtocol, JoinedGroup, JoinGroup, SyncedGroup } from '../engine/group-protocol.ts'
import type { PendingReply } from './pending-reply.ts'

const NOTHING = new Uint8Array(0)

export class Member {
  readonly id: string
  readonly groupInstanceId: string | undefined
  clientId = ''
  clientHost = ''
  sessionTimeoutMs = 0
  rebalanceTimeoutMs = 0
  protocols: readonly GroupProtocol[] = []
  assignment: Uint8Array = NOTHING
  /** Monotonic, ms: it is gone if there is no sign of life until then. Means nothing while it waits for a reply. */
  deadlineMs = Number.POSITIVE_INFINITY
  joining: PendingReply<JoinedGroup> | undefined
  syncing: PendingReply<SyncedGroup> | undefined
  /** Its client has been told its id. */
  isKnown = false
  /** It was told of a generation, and has not asked for its assignment. */
  owesSync = false

  constructor(id: string, request: JoinGroup) {
    this.id = id
    this.groupInstanceId = request.groupInstanceId
    this.update(request)
  }

  update(request: JoinGroup): void {
    this.clientId = request.clientId
    this.clientHost = request.clientHost
    this.sessionTimeoutMs = request.sessionTimeoutMs
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs
    this.protocols = request.protocols
  }

  get isWaiting(): boolean {
    return this.joining !== undefined || this.syncing !== undefined
  }

  /** Else nobody knows its id. */
  get canComeBack(): boolean {
    return this.isKnown || this.groupInstanceId !== undefined
  }

  /** Of its metadata and its assignment. */
  get bytes(): number {
    return bytesOf(this.protocols) + this.assignment.byteLength
  }

  metadata(protocolName: string): Uint8Array {
    return this.protocols.find(({ name }) => name === protocolName)?.metadata ?? NOTHING
  }

  hasProtocols(protocols: readonly GroupProtocol[]): boolean {
    return (
      protocols.length === this.protocols.length &&
      protocols.every(({ name, metadata }, at) => {
        const own = this.protocols[at]
        return own?.name === name && Buffer.compare(own.metadata, metadata) === 0
      })
    )
  }
}

export function bytesOf(protocols: readonly GroupProtocol[]): number {
  return protocols.reduce((sum, { metadata }) => sum + metadata.byteLength, 0)
}
