// The thread behind cleaner-thread.ts: a shell around the cleaner, one pass at a time. It touches segment files alone;
// what it has cleaned the main thread puts in its place before the pass goes on.

import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { TailraceError } from '../kernel/errors.ts'
import type { FromWorker, ToWorker } from './cleaner-thread.ts'
import type { CleanedGroup, CleanRequest } from './segment-cleaner.ts'
import { cleanSegments } from './segment-cleaner.ts'
import { realDisk } from './segment-file.ts'

const port = parentPort
if (port === null) throw new Error('maintenance-worker runs as a worker thread only')

/**
 * Where cores are short, whoever waits for a reply goes first. On Linux this is the thread's priority alone; elsewhere it
 * would be that of the whole process.
 */
const LOW_PRIORITY = 10
if (process.platform === 'linux') setPriority(0, LOW_PRIORITY)

let answer: ((isReplaced: boolean) => void) | undefined

/** Numbers in one block: a million of objects would hold up the thread that takes them. */
function give(group: CleanedGroup): Promise<void> {
  const entries = new Float64Array(group.entries.length * 3)
  for (const [at, { offset, position, priorMaxTimestamp }] of group.entries.entries()) {
    entries.set([offset, position, priorMaxTimestamp], at * 3)
  }
  return new Promise((resolve, reject) => {
    answer = (isReplaced) => (isReplaced ? resolve() : reject(new Error('the segments were not replaced')))
    port?.postMessage({ group: { ...group, entries } } satisfies FromWorker, [entries.buffer])
  })
}

async function clean(request: CleanRequest): Promise<FromWorker> {
  try {
    return { result: await cleanSegments(realDisk, request, give) }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const isTailrace = error instanceof TailraceError
    return { failure: { isTailrace, code: code ?? '', message, details: isTailrace ? error.details : {} } }
  }
}

port.on('message', (message: ToWorker) => {
  if ('isReplaced' in message) answer?.(message.isReplaced)
  else void clean(message.request).then((reply) => port.postMessage(reply))
})
