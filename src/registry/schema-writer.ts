// Which of the nodes on an engine writes the registry's topic: they are a group, whose leader picks one. A node is the
// writer from when it is told so until it joins again, leaves, or has not been heard by the coordinator for a session: the
// coordinator lets no other be picked before. What is written by a node that is wrong about this is passed over
// (schema-state.ts), so that all this is about who asks whom, not about what is true.
//
//   out -> joining (join, sync) -> member (heartbeats) -> joining, whenever a node comes or goes
//   and from each of them to closed

import { randomUUID } from 'node:crypto'
import type { Engine } from '../engine/engine.ts'
import type { JoinedGroup, MemberIdentity } from '../engine/group-protocol.ts'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { TailraceError } from '../kernel/errors.ts'
import { asTailraceError } from '../kernel/errors.ts'
import { JOIN_RETRY_MS_MAX, JOIN_RETRY_MS_MIN, REGISTRY_WRITER_WAIT_MS } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import { registryFailure } from './registry-failure.ts'
import type { NodeAddress } from './writer-protocol.ts'
import { chooseWriter, decodeAssignment, encodeAssignment, encodeIdentity, urlOf } from './writer-protocol.ts'

const GROUP_ID = 'schema-registry'
const PROTOCOL_TYPE = 'sr'
const PROTOCOL = 'v0'
const HEARTBEATS_PER_SESSION = 3

export interface SchemaWriterOptions {
  readonly engine: Pick<Engine, 'groups'>
  readonly clock: Clock
  readonly logger: Logger
  readonly sessionTimeoutMs: number
}

/** Here, or at another node's URL. */
export type WriterPlace = 'here' | { readonly url: string }

export class SchemaWriter {
  /** Of this run of this node, in what it writes. */
  readonly name: string = randomUUID()
  readonly #options: SchemaWriterOptions
  readonly #over = new AbortController()
  readonly #waiting = new Set<() => void>()
  #address: NodeAddress | undefined
  #phase: 'out' | 'joining' | 'member' | 'closed' = 'out'
  #memberId = ''
  #generationId = -1
  /** A rebalance has begun since it joined. */
  #isCalled = false
  /** As the group was last told. */
  #assigned: WriterPlace | undefined
  /** Monotonic: until then the coordinator waits for this node, whatever has become of the connection to it. */
  #heardUntilMs = 0
  #failures = 0
  #timer: Timer | undefined
  #endListening: () => void = () => {}

  constructor(options: SchemaWriterOptions) {
    this.#options = options
  }

  /** `address`: how the other nodes reach this one. */
  open(address: NodeAddress): void {
    if (this.#phase !== 'out' || this.#address !== undefined) return
    this.#address = address
    this.#endListening = this.#options.engine.groups.onRebalance((groupId) => {
      if (groupId !== GROUP_ID) return
      this.#isCalled = true
      // called from inside the coordinator
      queueMicrotask(() => this.#joinFrom('member'))
    })
    this.#joinFrom('out')
  }

  /** It may write at this moment. */
  get isHere(): boolean {
    return this.#phase === 'member' && this.#isPicked && this.#isHeard
  }

  /** Waits a while for it to be known. 50004; shutting_down. */
  async place(): Promise<WriterPlace> {
    const { clock } = this.#options
    const deadlineMs = clock.monotonic() + REGISTRY_WRITER_WAIT_MS
    for (;;) {
      if (this.#phase === 'member' && this.#isHeard && this.#assigned !== undefined) return this.#assigned
      const leftMs = deadlineMs - clock.monotonic()
      if (leftMs <= 0 || this.#phase === 'closed') {
        throw registryFailure(50004, 'it is not known at present which node writes the registry; try again')
      }
      await this.#change(leftMs)
    }
  }

  /** Throws unless it may write: 50004. */
  async own(): Promise<void> {
    if (!this.isHere && (await this.place()) !== 'here') throw notTheWriter()
  }

  /** Leaves, so that another is picked at once. */
  async close(): Promise<void> {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#timer?.cancel()
    this.#endListening()
    this.#over.abort()
    this.#tell()
    await this.#leave()
  }

  get #isPicked(): boolean {
    return this.#assigned === 'here'
  }

  get #isHeard(): boolean {
    return this.#options.clock.monotonic() < this.#heardUntilMs
  }

  /** Does nothing in another phase: somebody else was first. */
  #joinFrom(phase: 'out' | 'member'): void {
    if (this.#phase !== phase) return
    this.#phase = 'joining'
    this.#timer?.cancel()
    void this.#join()
  }

  async #join(): Promise<void> {
    try {
      await this.#joinAndSync()
      if (this.#isClosed) return
      this.#phase = 'member'
      this.#failures = 0
      this.#beatLater()
      if (this.#isCalled) this.#joinFrom('member')
    } catch (error) {
      if (!this.#isClosed) this.#joinFailed(asTailraceError(error))
    } finally {
      this.#tell()
    }
  }

  async #joinAndSync(): Promise<void> {
    const { engine, clock, sessionTimeoutMs } = this.#options
    const { signal } = this.#over
    const joined = await engine.groups.join(this.#request(), signal)
    this.#isCalled = false
    this.#memberId = joined.memberId
    if (this.#isClosed) {
      await this.#leave()
      return
    }
    this.#generationId = joined.generationId
    const { protocolType, protocolName } = joined
    const sentMs = clock.monotonic()
    const assignments = joined.leaderId === joined.memberId ? assignAll(joined) : []
    const synced = await engine.groups.sync({ ...this.#identity, protocolType, protocolName, assignments }, signal)
    this.#take(synced.assignment)
    this.#heardUntilMs = sentMs + sessionTimeoutMs
  }

  #request() {
    const { sessionTimeoutMs } = this.#options
    const address = this.#address as NodeAddress
    const isWriter = this.#isPicked && this.#isHeard
    return {
      groupId: GROUP_ID,
      memberId: this.#memberId,
      clientId: GROUP_ID,
      clientHost: address.host,
      sessionTimeoutMs,
      // not less: no other is picked while this one may think that it is
      rebalanceTimeoutMs: sessionTimeoutMs,
      protocolType: PROTOCOL_TYPE,
      protocols: [{ name: PROTOCOL, metadata: encodeIdentity({ ...address, isEligible: true, isWriter }) }],
    }
  }

  #take(assignment: Uint8Array): void {
    const { logger } = this.#options
    const { writer, hasSameAddresses = false } = decodeAssignment(assignment) ?? {}
    const wasPicked = this.#isPicked
    const url = writer && urlOf(writer.address)
    this.#assigned = url === undefined ? undefined : writer?.memberId === this.#memberId ? 'here' : { url }
    const own = urlOf(this.#address as NodeAddress)
    if (hasSameAddresses) {
      logger.error(
        { url: own },
        'several nodes of the schema registry say that they are reached at the same address: advertised.listeners must name one for each',
      )
    } else if (url === undefined) logger.warn({ group: GROUP_ID }, 'no node of the schema registry may write')
    else if (this.#isPicked !== wasPicked) {
      logger.info({ writer: url }, `${this.#isPicked ? 'this' : 'another'} node writes the schema registry now`)
    }
  }

  #joinFailed(error: TailraceError): void {
    const { clock, logger } = this.#options
    this.#phase = 'out'
    this.#heard(error)
    const isRebalance = error.code === 'rebalance_in_progress'
    if (!isRebalance && this.#failures === 0) {
      logger.warn(
        { err: error, group: GROUP_ID },
        'this node cannot join the nodes of the schema registry; it tries on',
      )
    }
    const delayMs = Math.min(JOIN_RETRY_MS_MIN * 2 ** this.#failures, JOIN_RETRY_MS_MAX)
    if (!isRebalance) this.#failures++
    this.#timer = clock.after(isRebalance ? 0 : delayMs, () => this.#joinFrom('out'))
  }

  #beatLater(): void {
    const { clock, sessionTimeoutMs } = this.#options
    this.#timer = clock.after(sessionTimeoutMs / HEARTBEATS_PER_SESSION, () => void this.#beat())
  }

  async #beat(): Promise<void> {
    const { engine, clock, sessionTimeoutMs } = this.#options
    const { generationId } = this.#identity
    const isCurrent = () => this.#phase === 'member' && this.#generationId === generationId
    if (!isCurrent()) return
    if (!this.#isHeard) {
      this.#joinFrom('member')
      return
    }
    this.#beatLater()
    const sentMs = clock.monotonic()
    try {
      await engine.groups.heartbeat(this.#identity)
      if (isCurrent()) this.#heardUntilMs = Math.max(this.#heardUntilMs, sentMs + sessionTimeoutMs)
    } catch (error) {
      // what is no news of its membership is left to the next one
      if (isCurrent() && this.#heard(asTailraceError(error))) this.#joinFrom('member')
    }
  }

  /** Whether it has to join again. */
  #heard({ code }: TailraceError): boolean {
    if (code === 'rebalance_in_progress') return true
    if (code !== 'unknown_member_id' && code !== 'illegal_generation' && code !== 'fenced_instance_id') return false
    // others may have been picked meanwhile
    this.#assigned = undefined
    if (code !== 'illegal_generation') this.#memberId = ''
    return true
  }

  get #identity(): MemberIdentity {
    return { groupId: GROUP_ID, memberId: this.#memberId, generationId: this.#generationId }
  }

  get #isClosed(): boolean {
    return this.#phase === 'closed'
  }

  async #leave(): Promise<void> {
    const memberId = this.#memberId
    this.#memberId = ''
    if (memberId === '') return
    try {
      await this.#options.engine.groups.leave(GROUP_ID, [{ memberId }])
    } catch (error) {
      this.#options.logger.warn(
        { err: error, group: GROUP_ID },
        'this node could not leave its group: its session ends it',
      )
    }
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const told = () => {
        timer.cancel()
        this.#waiting.delete(told)
        resolve()
      }
      const timer = this.#options.clock.after(timeoutMs, told)
      this.#waiting.add(told)
    })
  }

  #tell(): void {
    for (const told of [...this.#waiting]) told()
  }
}

function assignAll({ members }: JoinedGroup) {
  const assignment = encodeAssignment(chooseWriter(members))
  return members.map(({ memberId }) => ({ memberId, assignment }))
}

export function notTheWriter(): TailraceError {
  return registryFailure(50004, 'this node is not the one that writes the registry; try again')
}
