// Reads Java's properties text, the form of Kafka's server.properties: `name=value`, `name: value` or `name value`,
// comments after # or !, lines continued by a backslash at their end, and escapes. Names are kept as they are; whether
// they are known is the caller's business.

export interface Property {
  readonly name: string
  readonly value: string
  /** Of its first line, counted from 1. */
  readonly line: number
}

/** In the order of the text; a name that stands there twice comes twice (in Java the last one wins). */
export function parseServerProperties(text: string): readonly Property[] {
  return logicalLines(text.replace(/^\uFEFF/, '')).map(({ line, content }) => ({ ...splitProperty(content), line }))
}

interface LogicalLine {
  readonly line: number
  readonly content: string
}

function logicalLines(text: string): LogicalLine[] {
  const found: LogicalLine[] = []
  let open: LogicalLine | undefined
  for (const [index, natural] of text.split(/\r\n|\r|\n/).entries()) {
    const content = natural.replace(/^[ \t\f]+/, '')
    // A comment is one natural line: neither is it continued, nor is there one inside a continued line.
    if (open === undefined && (content === '' || content[0] === '#' || content[0] === '!')) continue
    const continued = endsInOddBackslashes(content)
    const whole = (open?.content ?? '') + (continued ? content.slice(0, -1) : content)
    open = { line: open?.line ?? index + 1, content: whole }
    if (continued) continue
    found.push(open)
    open = undefined
  }
  if (open !== undefined && open.content !== '') found.push(open)
  return found
}

function endsInOddBackslashes(content: string): boolean {
  return (/\\*$/.exec(content)?.[0].length ?? 0) % 2 === 1
}

function splitProperty(content: string): { name: string; value: string } {
  // The name ends at the first =, : or blank without a backslash before it; one = or : with blanks around it goes.
  const [, name = '', value = ''] = /^((?:\\.|[^\\=: \t\f])*)[ \t\f]*(?:[=:][ \t\f]*)?(.*)$/s.exec(content) ?? []
  return { name: unescaped(name), value: unescaped(value).trimEnd() }
}

const CONTROLS: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function unescaped(text: string): string {
  return text.replace(
    /\\(?:u([0-9a-fA-F]{4})|(.)|$)/gs,
    (_, code: string | undefined, character: string | undefined) =>
      code === undefined
        ? (CONTROLS[character ?? ''] ?? character ?? '')
        : String.fromCharCode(Number.parseInt(code, 16)),
  )
}
