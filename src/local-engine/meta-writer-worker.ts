// The thread behind meta-writer.ts: gathers the requests of a moment and commits them in one transaction.

import { parentPort, workerData } from 'node:worker_threads'
import type Database from 'better-sqlite3'
import Sqlite from 'better-sqlite3'
import { openMetaDatabase } from './meta-schema.ts'
import { MetaTransactions } from './meta-transactions.ts'
import type { CheckpointRequest, MetaRequest } from './meta-writer.ts'

const port = parentPort
if (port === null) throw new Error('meta-writer-worker runs as a worker thread only')
const db = openMetaDatabase((workerData as { path: string }).path)
const transactions = new MetaTransactions(db)
let gathered: MetaRequest[] = []

function commitGathered(): void {
  const requests = gathered
  gathered = []
  if (requests.length > 0) port?.postMessage(transactions.commit(requests))
}

let checkpointed: Database.Database | undefined

/** Passive: it takes what nobody is using and leaves the rest to the next one. */
function checkpoint(path: string): void {
  try {
    checkpointed ??= new Sqlite(path, { fileMustExist: true, timeout: 0 })
    checkpointed.pragma('wal_checkpoint(PASSIVE)')
  } catch {
    // the next one is tried again; until then the write-ahead log is longer, nothing else
    checkpointed?.close()
    checkpointed = undefined
  }
}

port.on('message', (message: MetaRequest | CheckpointRequest | 'close') => {
  if (message === 'close') {
    commitGathered()
    checkpointed?.close()
    db.close()
    port.close()
    return
  }
  if ('checkpoint' in message) return checkpoint(message.checkpoint)
  if (gathered.length === 0) setImmediate(commitGathered)
  gathered.push(message)
})
