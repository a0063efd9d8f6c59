// The one writer of meta.db, as the engine sees it: changes go to a worker thread, which commits all that have gathered
// in one transaction with its sync (half a millisecond or more: never on the event loop). A commit that resolved is
// durable. Any number of callers at once; their order is kept. The same thread checkpoints index.db, for the same reason.

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { TailraceError } from '../kernel/errors.ts'
import { META_WAITING_COMMITS_MAX } from '../kernel/limits.ts'
import { isDiskFull } from '../log/storage-failure.ts'
import type { MetaChange } from './meta-schema.ts'

export interface MetaRequest {
  readonly id: number
  readonly changes: readonly MetaChange[]
}

export interface CheckpointRequest {
  readonly checkpoint: string
}

/** `failure`: SQLite's code and message; nothing of the request is stored then. */
export interface MetaReply {
  readonly id: number
  readonly failure?: { readonly code: string; readonly message: string }
}

/** Where changes of meta.db are committed: here a thread, in tests of power cuts what remembers the last commit only. */
export interface MetaCommits {
  /** Durable when it resolves. */
  commit(changes: readonly MetaChange[]): Promise<void>
  /** Asks for a checkpoint of another SQLite file; nobody waits for it. */
  checkpoint(path: string): void
  /** Waits for what is under way. */
  close(): Promise<void>
}

interface Waiting {
  resolve(): void
  reject(error: TailraceError): void
}

export class MetaWriter implements MetaCommits {
  readonly #path: string
  readonly #waiting = new Map<number, Waiting>()
  /** Made with the first change: a server whose topics stay as they are does without the thread and its memory. */
  #thread: { readonly worker: Worker; readonly exited: Promise<void> } | undefined
  #lastId = 0
  #dead: TailraceError | undefined

  constructor(path: string) {
    this.#path = path
  }

  #post(message: MetaRequest | CheckpointRequest | 'close'): void {
    this.#thread ??= this.#start()
    this.#thread.worker.postMessage(message)
  }

  #start() {
    // the worker lies beside this file, under whatever extension this one runs with
    const file = new URL(`./meta-writer-worker${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(file, { workerData: { path: this.#path }, name: 'meta-writer' })
    worker.unref()
    worker.on('message', (replies: MetaReply[]) => {
      for (const reply of replies) this.#settle(reply)
    })
    worker.on('error', (error) => this.#fail(error))
    const exited = new Promise<void>((resolve) => {
      worker.on('exit', () => {
        this.#fail(new Error('the writer has ended'))
        resolve()
      })
    })
    return { worker, exited }
  }

  commit(changes: readonly MetaChange[]): Promise<void> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead)
    if (this.#waiting.size >= META_WAITING_COMMITS_MAX) {
      return Promise.reject(new TailraceError('overloaded', `${this.#waiting.size} changes of meta.db wait already`))
    }
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#post({ id, changes })
    })
  }

  checkpoint(path: string): void {
    if (this.#dead === undefined) this.#post({ checkpoint: path })
  }

  #settle(reply: MetaReply): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if (reply.failure === undefined) waiting?.resolve()
    else waiting?.reject(metaFailure(reply.failure))
  }

  #fail(cause: unknown): void {
    this.#dead ??= new TailraceError('kafka_storage_error', 'meta.db can not be written any more', {}, { cause })
    for (const waiting of this.#waiting.values()) waiting.reject(this.#dead)
    this.#waiting.clear()
  }

  async close(): Promise<void> {
    if (this.#thread === undefined) {
      this.#fail(new Error('the writer was closed'))
      return
    }
    this.#thread.worker.ref()
    if (this.#dead === undefined) this.#post('close')
    await this.#thread.exited
  }
}

/** Why a commit of meta.db failed, as its caller is told. */
export function metaFailure(failure: { readonly code: string; readonly message: string }): TailraceError {
  if (isDiskFull(failure)) return new TailraceError('disk_full', 'no room on the disk for meta.db')
  return new TailraceError('kafka_storage_error', `meta.db could not be written: ${failure.message}`)
}
