// Passes of compaction in a worker thread of their own (maintenance-worker.ts), which is there while there is something to
// clean and for a while after it. Ending the thread is how a pass is given up: nothing that it does is needed by anybody
// before its group has been handed over. Should it die by itself, the pass has failed and the next one has a new thread.

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { ErrorCode } from '../kernel/errors.ts'
import { TailraceError } from '../kernel/errors.ts'
import type { Cleaner, ReplacingGroup } from './cleaner.ts'
import { stopped } from './cleaner.ts'
import type { IndexEntry } from './log-index.ts'
import type { CleanRequest, CleanResult } from './segment-cleaner.ts'

export type ToWorker = { readonly request: CleanRequest } | { readonly isReplaced: boolean }

export type FromWorker =
  | { readonly group: Omit<ReplacingGroup, 'entries'> & { readonly entries: Float64Array } }
  | { readonly result: CleanResult }
  | { readonly failure: WorkerFailure }

interface WorkerFailure {
  readonly isTailrace: boolean
  readonly code: string
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

/** A thread takes some ten megabytes: less than it takes to begin one every time a log is filthy. */
const IDLE_MS = 60_000

export class CleanerThread implements Cleaner {
  readonly #clock: Clock
  #worker: Worker | undefined
  #idle: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async clean(
    request: CleanRequest,
    onGroup: (group: ReplacingGroup) => Promise<void>,
    signal: AbortSignal,
  ): Promise<CleanResult> {
    if (signal.aborted) throw stopped()
    this.#idle?.cancel()
    const worker = this.#start()
    const stop = () => void this.close()
    signal.addEventListener('abort', stop)
    try {
      return await runPass(worker, request, onGroup)
    } catch (error) {
      throw signal.aborted ? stopped() : error
    } finally {
      signal.removeEventListener('abort', stop)
      if (this.#worker === worker) this.#idle = this.#clock.after(IDLE_MS, () => void this.close())
    }
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker
    // the worker lies beside this file, under whatever extension this one runs with
    const file = new URL(`./maintenance-worker${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(file, { name: 'maintenance' })
    worker.unref()
    worker.on('error', () => {
      // a pass hears of it itself; without one nobody has lost anything
    })
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
    })
    this.#worker = worker
    return worker
  }

  /** Resolves when the thread has ended, whatever it was doing. */
  async close(): Promise<void> {
    this.#idle?.cancel()
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }
}

function runPass(
  worker: Worker,
  request: CleanRequest,
  onGroup: (group: ReplacingGroup) => Promise<void>,
): Promise<CleanResult> {
  return new Promise((resolve, reject) => {
    const post = (message: ToWorker) => worker.postMessage(message)
    let refusal: unknown
    const take = (message: FromWorker) => {
      if ('group' in message) {
        const { entries, ...group } = message.group
        onGroup({ ...group, entries: eachEntry(entries) }).then(
          () => post({ isReplaced: true }),
          (error) => {
            refusal = error
            post({ isReplaced: false })
          },
        )
        return
      }
      settle()
      if ('result' in message) resolve(message.result)
      else reject(refusal ?? errorOf(message.failure))
    }
    const end = (cause?: unknown) => {
      settle()
      const message = 'the thread that compacts has ended in the midst of its work'
      reject(new TailraceError('kafka_storage_error', message, {}, { cause }))
    }
    const settle = () => {
      worker.off('message', take).off('error', end).off('exit', end)
    }
    worker.on('message', take).on('error', end).on('exit', end)
    post({ request })
  })
}

function* eachEntry(numbers: Float64Array): Generator<IndexEntry> {
  for (let at = 0; at < numbers.length; at += 3) {
    yield {
      offset: numbers[at] as number,
      position: numbers[at + 1] as number,
      priorMaxTimestamp: numbers[at + 2] as number,
    }
  }
}

/** The error as it would have come from this thread. */
function errorOf({ isTailrace, code, message, details }: WorkerFailure): Error {
  if (isTailrace) return new TailraceError(code as ErrorCode, message, details)
  return Object.assign(new Error(message), { code })
}
