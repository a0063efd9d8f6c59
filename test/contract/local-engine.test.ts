import type { TestContext } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { engineContract } from './engine-contract.ts'
import type { RestartedEngine } from './group-contract.ts'
import { groupContract } from './group-contract.ts'

const folders = new WeakMap<Engine, string>()

async function openIn(dataDir: string, t: TestContext): Promise<Engine> {
  const engine = await openLocalEngine(engineOptions(dataDir))
  t.after(() => engine.close())
  folders.set(engine, dataDir)
  return engine
}

const localEngine: RestartedEngine = {
  name: 'local engine',
  open: (t) => openIn(temporaryDirectory(t), t),
  async restart(engine, t) {
    await engine.close()
    return await openIn(folders.get(engine) ?? '', t)
  },
}

engineContract(localEngine)
groupContract(localEngine)
// the double that services are tested with is held to what it stands for
groupContract({
  name: 'memory engine',
  async open(t) {
    const engine = new MemoryEngine()
    t.after(() => engine.close())
    return engine
  },
  async restart(engine) {
    await (engine as MemoryEngine).restart()
    return engine
  },
})
