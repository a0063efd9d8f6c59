import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { engineContract } from './engine-contract.ts'

engineContract({
  name: 'local engine',
  async open(t) {
    const engine = await openLocalEngine(engineOptions(temporaryDirectory(t)))
    t.after(() => engine.close())
    return engine
  },
})
