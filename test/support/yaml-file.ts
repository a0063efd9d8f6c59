// The project's YAML files as values. Parsing the three of them takes most of half a second, and nearly every test process
// needs them: what one has parsed is kept as JSON for the others, under the hash of the text.

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'

const root = join(import.meta.dirname, '../..')
const kept = join(tmpdir(), 'tailrace-yaml')

/** By its path in the repository. */
export function readYaml(path: string): unknown {
  const text = readFileSync(join(root, path), 'utf8')
  const file = join(kept, `${createHash('sha256').update(text).digest('hex')}.json`)
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    const value: unknown = parse(text)
    mkdirSync(kept, { recursive: true })
    // whole or not at all: other processes read it
    const own = `${file}.${process.pid}`
    writeFileSync(own, JSON.stringify(value))
    renameSync(own, file)
    return value
  }
}
