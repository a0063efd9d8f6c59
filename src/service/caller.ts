// Who asks: every service verb takes one, so that access rules, quotas and audit find their place ready.

export interface Caller {
  /** `User:ANONYMOUS` until access rules exist. */
  readonly principal: string
  readonly clientId: string
  readonly host: string
  readonly requestId: string
}

export const ANONYMOUS = 'User:ANONYMOUS'
