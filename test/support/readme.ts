// The blocks of code in README.md, by their language.

import { readFileSync } from 'node:fs'

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

/** sh: readme.test.ts runs it; ts and json: readme-programs.test.ts. */
export const README_LANGUAGES = ['sh', 'ts', 'json'] as const

/** Lines that begin or end a block, as whatever. */
export const readmeFences: readonly string[] = README.match(/^[ \t>]*(?:```|~~~).*$/gm) ?? []

export function readmeBlocks(language: (typeof README_LANGUAGES)[number]): string[] {
  return [...README.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, name, text]) =>
    name === language ? [text as string] : [],
  )
}
