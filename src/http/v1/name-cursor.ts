// The cursor of a listing that goes by names: opaque to clients, the last name of the page before.

import { TailraceError } from '../../kernel/errors.ts'

export function cursorOfName(name: string | undefined): string | null {
  return name === undefined ? null : Buffer.from(name).toString('base64url')
}

/** '' without one. invalid_cursor for what no listing of these `things` gave. */
export function nameOfCursor(cursor: string | undefined, things: string): string {
  if (cursor === undefined) return ''
  const name = Buffer.from(cursor, 'base64url').toString()
  if (cursorOfName(name) === cursor) return name
  throw new TailraceError('invalid_cursor', `the cursor is not one that a listing of ${things} gave`)
}
