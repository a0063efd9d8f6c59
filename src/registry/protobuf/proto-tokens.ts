// The tokens of a .proto text, one after the other, in time that grows with the text alone.

import type { TailraceError } from '../../kernel/errors.ts'
import { invalid } from '../invalid-schema.ts'

export type ProtoToken =
  /** A name, with dots where it has some; or a number as it is written. */
  | { readonly kind: 'word' | 'number' | 'symbol' | 'end'; readonly text: string; readonly at: number }
  | { readonly kind: 'string'; readonly text: string; readonly bytes: Buffer; readonly at: number }

const BLANK = /(?:[\s\ufeff]+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y
const NUMBER = /0[xX][0-9a-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?f?/y
const STRING = /"(?:[^"\\\n\0]|\\[\s\S])*"|'(?:[^'\\\n\0]|\\[\s\S])*'/y
const SYMBOLS = new Set('{}[]()<>;:,.=-+/')

export class ProtoTokens {
  readonly #text: string
  #at = 0
  #present: ProtoToken

  constructor(text: string) {
    this.#text = text
    this.#present = this.#read()
  }

  get present(): ProtoToken {
    return this.#present
  }

  /** Gives the present one, and goes on. */
  next(): ProtoToken {
    const token = this.#present
    this.#present = this.#read()
    return token
  }

  is(text: string): boolean {
    const { kind } = this.#present
    return (kind === 'word' || kind === 'symbol') && this.#present.text === text
  }

  /** Goes on if it is that. */
  takes(text: string): boolean {
    if (!this.is(text)) return false
    this.next()
    return true
  }

  expect(text: string): void {
    if (!this.takes(text)) throw this.unexpected(`'${text}'`)
  }

  unexpected(expected: string): TailraceError {
    const { kind, text, at } = this.#present
    return this.fault(`expected ${expected}, found ${kind === 'end' ? 'the end' : `'${text.slice(0, 60)}'`}`, at)
  }

  /** `at`: the present token's place if left out. */
  fault(message: string, at = this.#present.at): TailraceError {
    const before = this.#text.slice(0, at)
    const line = before.split('\n').length
    const column = at - before.lastIndexOf('\n')
    return invalid(`Could not parse Protobuf - line ${line}, column ${column}: ${message}`)
  }

  #read(): ProtoToken {
    this.#match(BLANK)
    const at = this.#at
    const text = this.#text
    if (at >= text.length) return { kind: 'end', text: '', at }
    const word = this.#match(WORD)
    if (word !== undefined) return { kind: 'word', text: word, at }
    const number = this.#match(NUMBER)
    if (number !== undefined) return { kind: 'number', text: number, at }
    const string = this.#match(STRING)
    if (string !== undefined) return { kind: 'string', text: string, bytes: this.#unescape(string, at), at }
    const symbol = text[at] as string
    if (!SYMBOLS.has(symbol)) throw this.fault(`'${symbol}' has no place in a .proto file`, at)
    this.#at++
    return { kind: 'symbol', text: symbol, at }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found !== undefined) this.#at += found.length
    return found
  }

  #unescape(quoted: string, at: number): Buffer {
    const inner = quoted.slice(1, -1)
    if (!inner.includes('\\')) return Buffer.from(inner)
    const parts: Buffer[] = []
    let end = 0
    for (const match of inner.matchAll(ESCAPE)) {
      parts.push(Buffer.from(inner.slice(end, match.index)))
      const bytes = bytesOfEscape(match[1] as string)
      if (bytes === undefined) throw this.fault(`there is no escape ${match[0].slice(0, 12)}`, at)
      parts.push(bytes)
      end = match.index + match[0].length
    }
    parts.push(Buffer.from(inner.slice(end)))
    return Buffer.concat(parts)
  }
}

const ESCAPE = /\\([xX][0-9a-fA-F]{1,2}|[0-7]{1,3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S])/g

const SINGLE_ESCAPES: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
  '"': 34,
  "'": 39,
  '?': 63,
  '\\': 92,
}

function bytesOfEscape(letters: string): Buffer | undefined {
  const single = SINGLE_ESCAPES[letters]
  if (single !== undefined) return Buffer.from([single])
  if (/^[xX]./.test(letters)) return Buffer.from([Number.parseInt(letters.slice(1), 16)])
  if (/^[0-7]/.test(letters)) return Buffer.from([Number.parseInt(letters, 8) & 0xff])
  if (!/^[uU]./.test(letters)) return undefined
  const point = Number.parseInt(letters.slice(1), 16)
  return point > 0x10ffff ? undefined : Buffer.from(String.fromCodePoint(point))
}
