// One engine as several nodes have it: each through a view of its own, which can be cut off from the groups' coordinator,
// as by a network that is down, or held in front of an append, as by a process that is paused.

import type { Engine } from '../../src/engine/engine.ts'
import type { Groups } from '../../src/engine/group-protocol.ts'
import { TailraceError } from '../../src/kernel/errors.ts'

export interface NodeView {
  readonly engine: Engine
  /** Nothing goes to the coordinator, and nothing comes from it. */
  isCut: boolean
  /** In front of each append. */
  beforeAppend: () => Promise<void> | void
}

/** Whoever opened the engine closes it. */
export function viewOf(engine: Engine): NodeView {
  const groups = over(engine.groups, {
    join: (...given: Parameters<Groups['join']>) => whole(() => engine.groups.join(...given)),
    sync: (...given: Parameters<Groups['sync']>) => whole(() => engine.groups.sync(...given)),
    heartbeat: (...given: Parameters<Groups['heartbeat']>) => whole(() => engine.groups.heartbeat(...given)),
    leave: (...given: Parameters<Groups['leave']>) => whole(() => engine.groups.leave(...given)),
    onRebalance: (listener: (groupId: string) => void) =>
      engine.groups.onRebalance((groupId) => {
        if (!view.isCut) listener(groupId)
      }),
  })
  const whole = async <Result>(call: () => Promise<Result>): Promise<Result> => {
    if (view.isCut) throw new TailraceError('overloaded', 'the coordinator is not there')
    return await call()
  }
  const view: NodeView = {
    isCut: false,
    beforeAppend: () => {},
    engine: over(engine, {
      capabilities: { ...engine.capabilities, isShared: true },
      groups,
      append: async (...given: Parameters<Engine['append']>) => {
        await view.beforeAppend()
        return await engine.append(...given)
      },
      close: async () => {},
    }),
  }
  return view
}

function over<Target extends object>(target: Target, changes: Partial<Target>): Target {
  return new Proxy(target, {
    get(_target, name) {
      if (Object.hasOwn(changes, name)) return Reflect.get(changes, name)
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
