// What the server says of a request, in the words of who typed options: it names parameters of HTTP, as its other
// clients know them.

/** What may stand for each parameter: the first that the command has; one with a space is of another command. */
const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  from: ['--from', '--offset', '--since'],
  on_gap: ['--on-gap', 'tailrace consume --on-gap'],
  shift_by: ['--shift-by'],
  force: ['--force', 'tailrace groups delete --force'],
  permanent: ['--permanent'],
}

/** What is quoted is data; a word that is an English one too is meant as a parameter where it has a value. */
const PARAMETER = /(?<!\w)(?:'[^']*'|"[^"]*")|\b(?<name>[a-z]+(?:_[a-z]+)*)(?:=(?<value>\w+))?/g

/** `optionNames`: those of the command, as `--on-gap`. */
export function inOptionWords(text: string, optionNames: ReadonlySet<string>): string {
  return text.replace(PARAMETER, (found, ...rest) => {
    const { name = '', value } = rest.at(-1) as { name?: string; value?: string }
    if (value === undefined && !name.includes('_')) return found
    const candidates = Object.hasOwn(OPTIONS, name) ? (OPTIONS[name] ?? []) : []
    const option = candidates.find((each) => each.includes(' ') || optionNames.has(each))
    if (option === undefined) return found
    return value === undefined || value === 'true' ? option : `${option} ${value}`
  })
}
