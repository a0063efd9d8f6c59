import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import type { EngineUnderTest } from './engine-contract.ts'
import { engineContract } from './engine-contract.ts'
import { groupContract } from './group-contract.ts'

const localEngine: EngineUnderTest = {
  name: 'local engine',
  async open(t) {
    const engine = await openLocalEngine(engineOptions(temporaryDirectory(t)))
    t.after(() => engine.close())
    return engine
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
})
