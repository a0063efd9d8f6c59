// A call of an engine that is held, so that a test can do meanwhile what may happen meanwhile.

import type { Engine } from '../../src/engine/engine.ts'

type Holdable = 'append' | 'fetch' | 'listOffsets'

export interface HeldCall {
  /** It has come, and waits. */
  readonly isHeld: boolean
  letGo(): void
}

/** The next call that is meant: not begun yet, or done and not answered. */
export function holdCall<Name extends Holdable>(
  engine: Engine,
  name: Name,
  when: 'before' | 'after',
  isMeant: (...args: Parameters<Engine[Name]>) => boolean = () => true,
): HeldCall {
  const gate = Promise.withResolvers<void>()
  const held = { isHeld: false, letGo: () => gate.resolve() }
  const wait = async () => {
    held.isHeld = true
    await gate.promise
  }
  const call = engine[name].bind(engine) as (...args: unknown[]) => Promise<unknown>
  let hasCome = false
  const holding = async (...args: Parameters<Engine[Name]>) => {
    if (hasCome || !isMeant(...args)) return await call(...args)
    hasCome = true
    if (when === 'before') await wait()
    const result = await call(...args)
    if (when === 'after') await wait()
    return result
  }
  Object.assign(engine, { [name]: holding })
  return held
}

/** Of what work queues remember, the next write. */
export function holdStateWrite(engine: Engine): HeldCall {
  return holdCall(engine, 'append', 'before', ({ name }) => name === '__consumer_state')
}
