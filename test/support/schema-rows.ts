// What the registry's topic says, record by record, and what a registry makes of it: also when compaction has been there.

import assert from 'node:assert/strict'
import type { Engine } from '../../src/engine/engine.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import type { Author } from '../../src/registry/schema-entries.ts'
import { AUTHOR_HEADER, parseAuthor } from '../../src/registry/schema-entries.ts'
import { SchemaState } from '../../src/registry/schema-state.ts'

export interface SchemaRow {
  readonly key: string
  readonly value: string | null
  readonly timestamp: number
  readonly author: Author | undefined
}

export async function rowsOf(engine: Engine): Promise<SchemaRow[]> {
  const topic = engine.findTopic('_schemas')
  assert.ok(topic)
  const rows: SchemaRow[] = []
  const reader = new RecordReader()
  const options = { minBytes: 0, maxBytes: 1 << 26, maxWaitMs: 0, isolation: 'read_committed' } as const
  const [part] = await engine.fetch([{ topic, partition: 0, offset: 0 }], options)
  const bytes = part?.bytes ?? Buffer.alloc(0)
  for (let position = 0; position < bytes.length; position = reader.batchEnd) {
    reader.open(bytes, position)
    while (reader.next()) {
      const text = (start: number, end: number) => reader.bytes.toString('utf8', start, end)
      const value = reader.valueStart < 0 ? null : text(reader.valueStart, reader.valueEnd)
      const header = reader.headers().find(({ name }) => name === AUTHOR_HEADER)
      const author = header?.value ? parseAuthor(Buffer.from(header.value).toString()) : undefined
      rows.push({ key: text(reader.keyStart, reader.keyEnd), value, timestamp: reader.timestamp, author })
    }
  }
  return rows
}

/** Whether each was taken goes to `taken`. */
export function stateOf(rows: readonly SchemaRow[], taken: boolean[] = []): SchemaState {
  const state = new SchemaState()
  for (const { key, value, timestamp, author } of rows) taken.push(state.apply(key, value, timestamp, author))
  return state
}

/** Of the first `count` the last of each key; without tombstones, as compaction leaves them in the end. */
export function compacted(rows: readonly SchemaRow[], count: number): SchemaRow[] {
  const lastAt = new Map(rows.slice(0, count).map(({ key }, at) => [key, at]))
  const isKept = ({ key, value }: SchemaRow, at: number) => at >= count || (lastAt.get(key) === at && value !== null)
  return rows.filter(isKept)
}

export function seen(state: SchemaState) {
  const subjects = [...state.subjects].sort()
  const scopes = (of: Iterable<string>) => [...of].sort()
  return {
    versions: subjects.map((subject) => state.versions(subject).map(({ schema }) => schema)),
    contexts: state.contexts,
    settings: scopes(state.scopesWithSettings()).map((scope) => [scope, state.settings(scope)]),
    modes: scopes(state.scopesWithModes()).map((scope) => [scope, state.mode(scope)]),
  }
}
