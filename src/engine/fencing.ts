import type { ErrorCode, TailraceError } from '../kernel/errors.ts'

const FENCING: ReadonlySet<ErrorCode> = new Set(['unknown_member_id', 'illegal_generation', 'fenced_instance_id'])

/** Whether a group's coordinator does not know the member that it refuses so any more, or not as it is. */
export function isFencing({ code }: TailraceError): boolean {
  return FENCING.has(code)
}
