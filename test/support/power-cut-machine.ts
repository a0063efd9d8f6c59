// An engine on a disk and databases that can lose their power, and the same one after a kill, a power cut or a stop.

import type { Engine } from '../../src/engine/engine.ts'
import type { LocalEngineOptions } from '../../src/local-engine/local-engine.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { engineOptions } from './engine-options.ts'
import { PowerCutDatabases } from './power-cut-databases.ts'
import { PowerCutDisk } from './power-cut-disk.ts'
import { Random } from './random.ts'

export interface Machine {
  readonly disk: PowerCutDisk
  readonly databases: PowerCutDatabases
  readonly engine: Engine
}

export class Bench {
  readonly #dataDir: string
  readonly #random: Random
  readonly #changes: Partial<LocalEngineOptions>

  constructor(dataDir: string, seed: number, changes: Partial<LocalEngineOptions> = {}) {
    this.#dataDir = dataDir
    this.#random = new Random(seed)
    this.#changes = changes
  }

  start(
    disk = new PowerCutDisk(this.#random),
    databases = new PowerCutDatabases(this.#random, disk),
  ): Promise<Machine> {
    const options = engineOptions(this.#dataDir, { disk, databases, ...this.#changes })
    return openLocalEngine(options).then((engine) => ({ disk, databases, engine }))
  }

  async cut(
    { disk, databases, engine }: Machine,
    what: 'power' | 'process' | 'stop' | 'no index',
    arrange: (disk: PowerCutDisk) => void = () => {},
  ): Promise<Machine> {
    if (what === 'stop') await engine.close()
    databases.freeze()
    const next = disk.cut(what === 'power' || what === 'no index' ? 'power' : 'process')
    await engine.close()
    arrange(next)
    const files = databases.cut(what === 'no index' ? 'power' : what, this.#random)
    const left = what === 'no index' ? { ...files, index: undefined } : files
    return this.start(next, new PowerCutDatabases(this.#random, next, left))
  }
}
