// The machine's own Chromium, headless, for tests of pages.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { findProgram } from './program.ts'

const PROGRAM = findProgram('chromium') ?? findProgram('chromium-browser') ?? findProgram('google-chrome')

/** Why tests of pages are skipped, if they are. */
export const NO_CHROMIUM = PROGRAM === undefined ? 'there is no chromium' : false

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** An empty page in a browser of its own, closed with the test. What the page itself fails with is thrown there. */
export async function openPage(t: { after(cleanUp: () => Promise<void>): void }): Promise<Page> {
  const profile = mkdtempSync(join(tmpdir(), 'tailrace-chromium-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: PROGRAM as string,
    headless: true,
    args: ARGUMENTS,
    viewport: { width: 1280, height: 800 },
  })
  const failures: Error[] = []
  context.on('weberror', (failure) => failures.push(failure.error()))
  t.after(async () => {
    await context.close()
    rmSync(profile, { recursive: true, force: true })
    if (failures.length > 0) throw new AggregateError(failures, 'the page failed')
  })
  return context.pages()[0] ?? (await context.newPage())
}
