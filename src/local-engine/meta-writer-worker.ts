// The thread behind meta-writer.ts: gathers the requests of a moment and commits them in one transaction.

import { parentPort, workerData } from 'node:worker_threads'
import type Database from 'better-sqlite3'
import Sqlite from 'better-sqlite3'
import type { MetaChange } from './meta-schema.ts'
import { META_STATEMENTS, openMetaDatabase } from './meta-schema.ts'
import type { CheckpointRequest, MetaReply, MetaRequest } from './meta-writer.ts'

const port = parentPort
if (port === null) throw new Error('meta-writer-worker runs as a worker thread only')
const db = openMetaDatabase((workerData as { path: string }).path)
const prepared = new Map<string, Database.Statement<unknown[]>>()
let gathered: MetaRequest[] = []

function apply(change: MetaChange): void {
  let statement = prepared.get(change.statement)
  if (statement === undefined) {
    statement = db.prepare<unknown[]>(META_STATEMENTS[change.statement])
    prepared.set(change.statement, statement)
  }
  statement.run(...change.values)
}

/** Everything in one commit; when that fails each request stands for itself, so that one bad one harms no other. */
function commitGathered(): void {
  const requests = gathered
  gathered = []
  if (requests.length === 0) return
  const commit = db.transaction((some: readonly MetaRequest[]) => {
    for (const request of some) for (const change of request.changes) apply(change)
  })
  const replies: MetaReply[] = []
  try {
    commit(requests)
    for (const { id } of requests) replies.push({ id })
  } catch {
    for (const request of requests) replies.push(commitAlone(commit, request))
  }
  port?.postMessage(replies)
}

function commitAlone(commit: (some: readonly MetaRequest[]) => void, request: MetaRequest): MetaReply {
  try {
    commit([request])
    return { id: request.id }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return { id: request.id, failure: { code: code ?? '', message } }
  }
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
