// What /readyz asks of the disk: may the data directory be written, and is there room. Little room is a warning: reads go
// on, and produce answers 503 by itself when there is none.

import { constants } from 'node:fs'
import { access, statfs } from 'node:fs/promises'
import type { HealthCheck } from '../http/http-floor.ts'

const FREE_BYTES_WARN = 256 * 1024 * 1024

export function diskCheck(dataDir: string): HealthCheck {
  return {
    name: 'disk',
    async check() {
      await access(dataDir, constants.W_OK)
      const { bavail, bsize } = await statfs(dataDir)
      const freeBytes = bavail * bsize
      if (freeBytes >= FREE_BYTES_WARN) return { status: 'pass' }
      return { status: 'warn', detail: `${Math.floor(freeBytes / 1024 / 1024)} MiB are free` }
    },
  }
}
