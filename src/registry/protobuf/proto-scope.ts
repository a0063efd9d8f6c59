// What the names in a .proto file mean: its own messages and enums, those of the files that it imports, and of those that
// these import publicly. A name is looked for in the innermost scope first.

import type { TailraceError } from '../../kernel/errors.ts'
import { invalid } from '../invalid-schema.ts'
import type { ProtoEnum, ProtoExtend, ProtoField, ProtoFile, ProtoMessage } from './proto-file.ts'

export type ProtoSymbol = ProtoMessageSymbol | ProtoEnumSymbol

interface Named {
  /** Without a leading dot. */
  readonly fullName: string
  /** Without the package. */
  readonly localName: string
  readonly scope: ProtoScope
}

export interface ProtoMessageSymbol extends Named {
  readonly kind: 'message'
  readonly message: ProtoMessage
}

export interface ProtoEnumSymbol extends Named {
  readonly kind: 'enum'
  readonly enum: ProtoEnum
}

/** A field that an extend block adds to a message elsewhere. */
export interface ProtoExtension {
  /** Without a leading dot. */
  readonly fullName: string
  readonly field: ProtoField
}

/** Files by the paths under which they are imported; undefined: there is none. */
export type FindFile = (path: string) => ProtoFile | undefined

/** All files that one file needs, each linked once. invalid_schema: an import that is not there, or that imports itself. */
export function linkProto(file: ProtoFile, find: FindFile): ProtoScope {
  const linked = new Map<string, ProtoScope>()
  const underWay = new Set<string>()
  const linkPath = (path: string): ProtoScope => {
    const known = linked.get(path)
    if (known !== undefined) return known
    if (underWay.has(path)) throw invalid(`${path} imports itself`)
    const imported = find(path)
    if (imported === undefined) throw invalid(`Could not resolve import: ${path}`)
    underWay.add(path)
    const scope = new ProtoScope(
      path,
      imported,
      imported.imports.map((one) => linkPath(one.path)),
    )
    linked.set(path, scope)
    return scope
  }
  return new ProtoScope(
    'default',
    file,
    file.imports.map((one) => linkPath(one.path)),
  )
}

type NamesOf<One> = (scope: ProtoScope) => ReadonlyMap<string, One>

export class ProtoScope {
  readonly path: string
  readonly file: ProtoFile
  /** As the file's imports, one for each. */
  readonly imports: readonly ProtoScope[]
  readonly #own = new Map<string, ProtoSymbol>()
  readonly #extensions = new Map<string, ProtoExtension>()

  constructor(path: string, file: ProtoFile, imports: readonly ProtoScope[]) {
    this.path = path
    this.file = file
    this.imports = imports
    const prefix = file.packageName === '' ? '' : `${file.packageName}.`
    for (const message of file.messages) this.#addMessage(message, prefix, '')
    for (const one of file.enums) this.#addEnum(one, prefix, '')
    for (const { fields } of file.extends)
      for (const { group } of fields) if (group) this.#addMessage(group, prefix, '')
    this.#addExtensions(file.extends, prefix)
  }

  get symbols(): ReadonlyMap<string, ProtoSymbol> {
    return this.#own
  }

  /** `within`: the full name of what it stands in; '' for none. A leading dot makes a name a full one. */
  resolve(name: string, within: string): ProtoSymbol | undefined {
    return this.#resolve(name, within, (scope) => scope.#own)
  }

  /** The same for what extend blocks define. */
  resolveExtension(name: string, within: string): ProtoExtension | undefined {
    return this.#resolve(name, within, (scope) => scope.#extensions)
  }

  /** This file and all that it needs, each once, what is imported first. */
  all(): readonly ProtoScope[] {
    const seen = new Set<ProtoScope>()
    const visit = (scope: ProtoScope): void => {
      if (seen.has(scope)) return
      for (const one of scope.imports) visit(one)
      seen.add(scope)
    }
    visit(this)
    return [...seen]
  }

  #resolve<One>(name: string, within: string, names: NamesOf<One>): One | undefined {
    if (name.startsWith('.')) return this.#find(name.slice(1), names)
    for (let scope = within; scope !== ''; scope = scope.slice(0, Math.max(0, scope.lastIndexOf('.')))) {
      const found = this.#find(`${scope}.${name}`, names)
      if (found !== undefined) return found
    }
    return this.#find(name, names)
  }

  #find<One>(fullName: string, names: NamesOf<One>): One | undefined {
    const own = names(this).get(fullName)
    if (own !== undefined) return own
    for (const scope of this.imports) {
      const found = scope.#findPublic(fullName, names)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** What those who import this file see of it. */
  #findPublic<One>(fullName: string, names: NamesOf<One>): One | undefined {
    const own = names(this).get(fullName)
    if (own !== undefined) return own
    for (const [at, { kind }] of this.file.imports.entries()) {
      const found = kind === 'public' ? (this.imports[at] as ProtoScope).#findPublic(fullName, names) : undefined
      if (found !== undefined) return found
    }
    return undefined
  }

  #addMessage(message: ProtoMessage, prefix: string, local: string): void {
    const fullName = prefix + message.name
    const localName = local + message.name
    this.#add({ kind: 'message', fullName, localName, scope: this, message })
    for (const one of message.messages) this.#addMessage(one, `${fullName}.`, `${localName}.`)
    for (const one of message.enums) this.#addEnum(one, `${fullName}.`, `${localName}.`)
    this.#addExtensions(message.extends, `${fullName}.`)
    const groups = [...message.fields, ...message.extends.flatMap(({ fields }) => fields)]
    for (const { group } of groups) if (group !== undefined) this.#addMessage(group, `${fullName}.`, `${localName}.`)
  }

  #addExtensions(all: readonly ProtoExtend[], prefix: string): void {
    for (const { fields } of all) {
      for (const field of fields) this.#extensions.set(prefix + field.name, { fullName: prefix + field.name, field })
    }
  }

  #addEnum(one: ProtoEnum, prefix: string, local: string): void {
    this.#add({ kind: 'enum', fullName: prefix + one.name, localName: local + one.name, scope: this, enum: one })
  }

  #add(symbol: ProtoSymbol): void {
    if (this.#own.has(symbol.fullName)) throw invalid(`${symbol.fullName} is defined twice`)
    this.#own.set(symbol.fullName, symbol)
  }
}

/** A name that means nothing where it stands. */
export function unresolved(type: string): TailraceError {
  return invalid(`Could not resolve type: ${type}`)
}
