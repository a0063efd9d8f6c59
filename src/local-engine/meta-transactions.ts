// How changes get into meta.db: the requests of a moment in one transaction. In the writer's thread (meta-writer-worker.ts).

import type Database from 'better-sqlite3'
import type { MetaChange } from './meta-schema.ts'
import { META_STATEMENTS } from './meta-schema.ts'
import type { MetaReply, MetaRequest } from './meta-writer.ts'

export class MetaTransactions {
  readonly #db: Database.Database
  readonly #prepared = new Map<string, Database.Statement<unknown[]>>()
  readonly #transaction: (requests: readonly MetaRequest[]) => void

  constructor(db: Database.Database) {
    this.#db = db
    this.#transaction = db.transaction((requests: readonly MetaRequest[]) => {
      for (const { changes } of requests) for (const change of changes) this.#apply(change)
    })
  }

  /** Everything in one commit; when that fails each request stands for itself, so that one bad one harms no other. */
  commit(requests: readonly MetaRequest[]): MetaReply[] {
    try {
      this.#transaction(requests)
      return requests.map(({ id }) => ({ id }))
    } catch {
      return requests.map((request) => this.#commitAlone(request))
    }
  }

  #commitAlone(request: MetaRequest): MetaReply {
    try {
      this.#transaction([request])
      return { id: request.id }
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      return { id: request.id, failure: { code: code ?? '', message } }
    }
  }

  #apply(change: MetaChange): void {
    let statement = this.#prepared.get(change.statement)
    if (statement === undefined) {
      statement = this.#db.prepare<unknown[]>(META_STATEMENTS[change.statement])
      this.#prepared.set(change.statement, statement)
    }
    statement.run(...change.values)
  }
}
