// The load generator's process: takes one job after another from the bench over its message channel and answers each
// with its result. It stays for the whole bench, so its code is warm, and goes when the bench goes.

import type { LoadJob, LoadResult } from './generate-load.ts'
import { generateLoad } from './generate-load.ts'

type LoadAnswer = { readonly result: LoadResult } | { readonly error: string }

process.on('message', (job: LoadJob) => {
  const answer = (message: LoadAnswer) => process.send?.(message)
  generateLoad(job).then(
    (result) => answer({ result }),
    (error: Error) => answer({ error: error.message }),
  )
})
process.on('disconnect', () => process.exit())
// Ctrl-C reaches the whole process group; the bench ends this process itself, after the servers.
process.on('SIGINT', () => {})
