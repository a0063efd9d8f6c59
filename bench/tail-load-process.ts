// The process that tails under load are read in: takes one job after another, as load-process.ts does.

import type { TailJob, TailResult } from './tail-load.ts'
import { loadTails } from './tail-load.ts'

type TailAnswer = { readonly result: TailResult } | { readonly error: string }

process.on('message', (job: TailJob) => {
  const answer = (message: TailAnswer) => process.send?.(message)
  loadTails(job).then(
    (result) => answer({ result }),
    (error: Error) => answer({ error: error.message }),
  )
})
process.on('disconnect', () => process.exit())
process.on('SIGINT', () => {})
