// A record on its way in, as every HTTP dialect hands it to the service: its bytes are final, its place is not.

import type { RecordParts } from '../record/record.ts'

export interface ProduceRecord extends RecordParts {
  /** Where the client wants it; -1: by its key, or spread. */
  readonly partition: number
  /** ms since the epoch; -1: now. */
  readonly timestamp: number
}
