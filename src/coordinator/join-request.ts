// Whether a request to join says what it must, whatever its group may be.

import type { JoinGroup } from '../engine/group-protocol.ts'
import { TailraceError } from '../kernel/errors.ts'
import { GROUP_NAME_CHARS_MAX, GROUP_PROTOCOLS_MAX } from '../kernel/limits.ts'
import { inconsistentProtocol } from './group-errors.ts'

interface SessionLimits {
  readonly sessionTimeoutMsMin: number
  readonly sessionTimeoutMsMax: number
}

/** invalid_session_timeout, inconsistent_group_protocol, invalid_request. */
export function checkJoinRequest(
  request: JoinGroup,
  { sessionTimeoutMsMin, sessionTimeoutMsMax }: SessionLimits,
): void {
  const { sessionTimeoutMs, rebalanceTimeoutMs, protocolType, protocols } = request
  if (!(sessionTimeoutMs >= sessionTimeoutMsMin && sessionTimeoutMs <= sessionTimeoutMsMax)) {
    throw new TailraceError(
      'invalid_session_timeout',
      `a session timeout of ${sessionTimeoutMs} ms: it must be from ${sessionTimeoutMsMin} to ${sessionTimeoutMsMax} ` +
        '(group.min.session.timeout.ms, group.max.session.timeout.ms)',
      { session_timeout_ms: sessionTimeoutMs, min: sessionTimeoutMsMin, max: sessionTimeoutMsMax },
    )
  }
  if (!(rebalanceTimeoutMs >= 0 && rebalanceTimeoutMs <= REBALANCE_TIMEOUT_MS_MAX)) {
    throw invalid(`a rebalance timeout of ${rebalanceTimeoutMs} ms: it must be from 0 to ${REBALANCE_TIMEOUT_MS_MAX}`)
  }
  if (protocolType === '' || protocols.length === 0) {
    throw inconsistentProtocol(request.groupId, 'is joined with a protocol type and at least one protocol')
  }
  if (protocols.length > GROUP_PROTOCOLS_MAX) {
    throw invalid(`${protocols.length} protocols: at most ${GROUP_PROTOCOLS_MAX} can be offered`)
  }
  const names = [request.clientId, request.groupInstanceId ?? '', protocolType, ...protocols.map(({ name }) => name)]
  for (const name of names) {
    if (name.length <= GROUP_NAME_CHARS_MAX) continue
    throw invalid(`'${name.slice(0, 60)}…' has ${name.length} characters: ${GROUP_NAME_CHARS_MAX} are allowed`)
  }
}

/** An int32 on the wire. */
const REBALANCE_TIMEOUT_MS_MAX = 2 ** 31 - 1

function invalid(message: string): TailraceError {
  return new TailraceError('invalid_request', message)
}
