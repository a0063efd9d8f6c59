// A group is shared or not for its whole life. Who asks for the other kind is told how to ask, in the words of the way on
// which they came: a service knows neither polls nor subscriptions.

import { TailraceError } from '../kernel/errors.ts'

type GroupKind = 'exclusive' | 'shared'

/** What was asked of a group; `hints` say how it is to be asked, by the kind of which it is. */
export async function ofItsKind<Result>(
  asked: Promise<Result>,
  hints: Readonly<Record<GroupKind, string>>,
): Promise<Result> {
  try {
    return await asked
  } catch (error) {
    throw error instanceof TailraceError ? inWords(error, hints) : error
  }
}

function inWords(error: TailraceError, hints: Readonly<Record<GroupKind, string>>): TailraceError {
  const kind = kindOf(error)
  if (kind === undefined) return error
  const { code, details } = error
  const detail = `group '${String(details['group'])}' is ${kind}, and that for its life; ${hints[kind]}, or use another group`
  return new TailraceError(code, detail, { ...details, mode: kind }, { cause: error })
}

function kindOf({ code, details }: TailraceError): GroupKind | undefined {
  if (code !== 'inconsistent_group_protocol') return undefined
  // as polls say it, or the coordinator
  const { mode, protocol_type: type } = details
  if (mode === 'shared' || type === 'shared') return 'shared'
  return mode === 'exclusive' || type === 'consumer' ? 'exclusive' : undefined
}
