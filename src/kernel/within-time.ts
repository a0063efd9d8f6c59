// Work whose cost somebody else decides, by a schema or a pattern, and that is stopped when its time is up: on one event
// loop its time is everybody's.

import type { Context } from 'node:vm'
import { createContext, Script } from 'node:vm'

const CALL = new Script('work()')
const frame: { work: (() => unknown) | undefined } = { work: undefined }
/** Made with the first use: it is a world of its own, a megabyte. */
let context: Context | undefined

/** `work` was stopped, wherever it was: neither its `catch` nor its `finally` has run. */
export class OutOfTime extends Error {}

/**
 * What `work` returns. It must not await, and leave nothing half done that others look at. Costs some 100 us. Throws what
 * `work` throws, and OutOfTime.
 */
export function withinTime<T>(milliseconds: number, work: () => T): T {
  const outer = frame.work
  frame.work = work
  context ??= createContext(frame)
  try {
    return CALL.runInContext(context, { timeout: milliseconds }) as T
  } catch (error) {
    if ((error as NodeJS.ErrnoException | undefined)?.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    throw new OutOfTime(`it takes longer than ${milliseconds} ms`, { cause: error })
  } finally {
    frame.work = outer
  }
}
