// .proto texts of proto2, proto3 and edition 2023, as data: one walk from the first token to the last. What is refused here
// is what the text alone shows; what names mean is found out by proto-scope.ts.

import { PROTOBUF_DEPTH_MAX, PROTOBUF_FIELDS_MAX } from '../../kernel/limits.ts'
import type {
  ProtoEnum,
  ProtoEnumValue,
  ProtoExtend,
  ProtoExtensions,
  ProtoField,
  ProtoFile,
  ProtoImport,
  ProtoLabel,
  ProtoMessage,
  ProtoMethod,
  ProtoOneof,
  ProtoOption,
  ProtoRange,
  ProtoReserved,
  ProtoService,
  ProtoValue,
} from './proto-file.ts'
import { MAP_KEY_TYPES } from './proto-file.ts'
import { ProtoTokens } from './proto-tokens.ts'

/** invalid_schema, with line and column. */
export function parseProto(text: string): ProtoFile {
  return new ProtoParser(text).file()
}

type Open<Part> = {
  -readonly [Member in keyof Part]: Part[Member] extends readonly (infer Item)[] ? Item[] : Part[Member]
}

const LABELS: ReadonlySet<string> = new Set(['optional', 'required', 'repeated'])
const SYNTAXES: ReadonlySet<string> = new Set(['proto2', 'proto3'])
const EDITIONS: ReadonlySet<string> = new Set(['2023', '2024'])

class ProtoParser {
  readonly #tokens: ProtoTokens
  /** Of messages, and of values in options. */
  #depth = 0

  constructor(text: string) {
    this.#tokens = new ProtoTokens(text)
  }

  file(): ProtoFile {
    const file: Open<ProtoFile> = {
      syntax: undefined,
      edition: undefined,
      packageName: '',
      imports: [],
      options: [],
      messages: [],
      enums: [],
      extends: [],
      services: [],
    }
    const tokens = this.#tokens
    if (tokens.is('syntax') || tokens.is('edition')) this.#syntax(file)
    while (tokens.present.kind !== 'end') this.#topLevel(file)
    return file
  }

  #syntax(file: Open<ProtoFile>): void {
    const tokens = this.#tokens
    const what = tokens.next().text
    tokens.expect('=')
    const { at } = tokens.present
    const named = this.#string()
    const known = what === 'syntax' ? SYNTAXES : EDITIONS
    if (!known.has(named))
      throw tokens.fault(`there is no ${what} "${named.slice(0, 60)}": ${[...known].join(', ')} are`, at)
    if (what === 'syntax') file.syntax = named as 'proto2' | 'proto3'
    else file.edition = named
    tokens.expect(';')
  }

  #topLevel(file: Open<ProtoFile>): void {
    const tokens = this.#tokens
    if (tokens.takes(';')) return
    switch (tokens.present.text) {
      case 'package':
        if (file.packageName !== '') throw tokens.fault('there is a package already')
        tokens.next()
        file.packageName = this.#dottedName()
        tokens.expect(';')
        return
      case 'import':
        file.imports.push(this.#import())
        return
      case 'option':
        file.options.push(this.#optionStatement())
        return
      case 'message':
        file.messages.push(this.#message())
        return
      case 'enum':
        file.enums.push(this.#enum())
        return
      case 'extend':
        file.extends.push(this.#extend())
        return
      case 'service':
        file.services.push(this.#service())
        return
      default:
        throw tokens.unexpected('package, import, option, message, enum, extend or service')
    }
  }

  #import(): ProtoImport {
    const tokens = this.#tokens
    tokens.expect('import')
    const kind = tokens.takes('public') ? 'public' : tokens.takes('weak') ? 'weak' : 'plain'
    const path = this.#string()
    tokens.expect(';')
    return { path, kind }
  }

  #message(): ProtoMessage {
    this.#tokens.expect('message')
    return this.#messageBody(this.#name())
  }

  #messageBody(name: string): ProtoMessage {
    const tokens = this.#tokens
    if (++this.#depth > PROTOBUF_DEPTH_MAX)
      throw tokens.fault(`messages are nested too deeply: at most ${PROTOBUF_DEPTH_MAX} levels`)
    const message: Open<ProtoMessage> = {
      name,
      fields: [],
      oneofs: [],
      reserved: [],
      extensions: [],
      extends: [],
      messages: [],
      enums: [],
      options: [],
    }
    tokens.expect('{')
    while (!tokens.takes('}')) this.#messagePart(message)
    this.#depth--
    return message
  }

  #messagePart(message: Open<ProtoMessage>): void {
    const tokens = this.#tokens
    if (tokens.takes(';')) return
    const before = tokens.present
    if (before.kind === 'word') {
      switch (before.text) {
        case 'option':
          message.options.push(this.#optionStatement())
          return
        case 'oneof':
          this.#oneof(message)
          return
        case 'extensions':
          message.extensions.push(this.#extensions())
          return
        case 'reserved':
          message.reserved.push(this.#reserved())
          return
        case 'message':
          message.messages.push(this.#message())
          return
        case 'enum':
          message.enums.push(this.#enum())
          return
        case 'extend':
          message.extends.push(this.#extend())
          return
      }
    }
    this.#addField(message.fields, this.#field(undefined))
  }

  #addField(fields: ProtoField[], field: ProtoField): void {
    if (fields.length >= PROTOBUF_FIELDS_MAX)
      throw this.#tokens.fault(`a message has at most ${PROTOBUF_FIELDS_MAX} fields`)
    fields.push(field)
  }

  #oneof(message: Open<ProtoMessage>): void {
    const tokens = this.#tokens
    tokens.expect('oneof')
    const oneof: Open<ProtoOneof> = { name: this.#name(), options: [] }
    message.oneofs.push(oneof)
    tokens.expect('{')
    while (!tokens.takes('}')) {
      if (tokens.takes(';')) continue
      if (tokens.is('option')) oneof.options.push(this.#optionStatement())
      else this.#addField(message.fields, this.#field(oneof.name))
    }
  }

  #field(oneof: string | undefined): ProtoField {
    const tokens = this.#tokens
    let label: ProtoLabel | undefined
    if (tokens.present.kind === 'word' && LABELS.has(tokens.present.text)) {
      if (oneof !== undefined) throw tokens.fault('a field of a oneof has no label')
      label = tokens.next().text as ProtoLabel
    }
    if (tokens.takes('group')) return this.#group(label, oneof)
    const { at } = tokens.present
    const type = this.#typeName()
    if (type === 'map' && tokens.is('<')) {
      if (label !== undefined || oneof !== undefined)
        throw tokens.fault('a map has no label and stands in no oneof', at)
      return this.#map()
    }
    const name = this.#name()
    return { label, type, mapKey: undefined, ...this.#fieldEnd(name), oneof, group: undefined }
  }

  #map(): ProtoField {
    const tokens = this.#tokens
    tokens.expect('<')
    const { at } = tokens.present
    const mapKey = this.#typeName()
    if (!MAP_KEY_TYPES.has(mapKey)) throw tokens.fault(`the keys of a map cannot be ${mapKey}`, at)
    tokens.expect(',')
    const type = this.#typeName()
    tokens.expect('>')
    const name = this.#name()
    return { label: undefined, type, mapKey, ...this.#fieldEnd(name), oneof: undefined, group: undefined }
  }

  #group(label: ProtoLabel | undefined, oneof: string | undefined): ProtoField {
    const tokens = this.#tokens
    const { at } = tokens.present
    const type = this.#name()
    if (!/^[A-Z]/.test(type)) throw tokens.fault('the name of a group begins with a capital', at)
    tokens.expect('=')
    const number = this.#wholeNumber()
    const options = this.#fieldOptions()
    const group = this.#messageBody(type)
    return { label, type, mapKey: undefined, name: type.toLowerCase(), number, options, oneof, group }
  }

  #fieldEnd(name: string): Pick<ProtoField, 'name' | 'number' | 'options'> {
    this.#tokens.expect('=')
    const number = this.#wholeNumber()
    const options = this.#fieldOptions()
    this.#tokens.expect(';')
    return { name, number, options }
  }

  #extensions(): ProtoExtensions {
    const tokens = this.#tokens
    tokens.expect('extensions')
    const ranges = this.#ranges()
    const options = this.#fieldOptions()
    tokens.expect(';')
    return { ranges, options }
  }

  #reserved(): ProtoReserved {
    const tokens = this.#tokens
    tokens.expect('reserved')
    const names: string[] = []
    let ranges: readonly ProtoRange[] = []
    if (tokens.present.kind === 'string') {
      do names.push(this.#string())
      while (tokens.takes(','))
    } else if (tokens.present.kind === 'word') {
      do names.push(this.#name())
      while (tokens.takes(','))
    } else ranges = this.#ranges()
    tokens.expect(';')
    return { ranges, names }
  }

  #ranges(): readonly ProtoRange[] {
    const tokens = this.#tokens
    const ranges: ProtoRange[] = []
    do {
      const from = this.#wholeNumber()
      const to = tokens.takes('to') ? (tokens.takes('max') ? 'max' : this.#wholeNumber()) : from
      if (to !== 'max' && to < from)
        throw tokens.fault(`a range goes from the lower to the higher, not from ${from} to ${to}`)
      ranges.push({ from, to })
    } while (tokens.takes(','))
    return ranges
  }

  #enum(): ProtoEnum {
    const tokens = this.#tokens
    tokens.expect('enum')
    const name = this.#name()
    const values: ProtoEnumValue[] = []
    const reserved: ProtoReserved[] = []
    const options: ProtoOption[] = []
    tokens.expect('{')
    while (!tokens.takes('}')) {
      if (tokens.takes(';')) continue
      if (tokens.is('option')) options.push(this.#optionStatement())
      else if (tokens.is('reserved')) reserved.push(this.#reserved())
      else values.push(this.#enumValue())
    }
    return { name, values, reserved, options }
  }

  #enumValue(): ProtoEnumValue {
    const tokens = this.#tokens
    const name = this.#name()
    tokens.expect('=')
    const number = this.#wholeNumber()
    const options = this.#fieldOptions()
    tokens.expect(';')
    return { name, number, options }
  }

  #extend(): ProtoExtend {
    const tokens = this.#tokens
    tokens.expect('extend')
    const type = this.#typeName()
    const fields: ProtoField[] = []
    tokens.expect('{')
    while (!tokens.takes('}')) {
      if (!tokens.takes(';')) this.#addField(fields, this.#field(undefined))
    }
    return { type, fields }
  }

  #service(): ProtoService {
    const tokens = this.#tokens
    tokens.expect('service')
    const name = this.#name()
    const options: ProtoOption[] = []
    const methods: ProtoMethod[] = []
    tokens.expect('{')
    while (!tokens.takes('}')) {
      if (tokens.takes(';')) continue
      if (tokens.is('option')) options.push(this.#optionStatement())
      else methods.push(this.#method())
    }
    return { name, options, methods }
  }

  #method(): ProtoMethod {
    const tokens = this.#tokens
    tokens.expect('rpc')
    const name = this.#name()
    const [request, isRequestStream] = this.#methodType()
    tokens.expect('returns')
    const [response, isResponseStream] = this.#methodType()
    const options: ProtoOption[] = []
    if (tokens.takes('{')) {
      while (!tokens.takes('}')) if (!tokens.takes(';')) options.push(this.#optionStatement())
    } else tokens.expect(';')
    return { name, request, isRequestStream, response, isResponseStream, options }
  }

  #methodType(): readonly [type: string, isStream: boolean] {
    const tokens = this.#tokens
    tokens.expect('(')
    let type = this.#typeName()
    // a type may be called stream
    const isStream = type === 'stream' && !tokens.is(')')
    if (isStream) type = this.#typeName()
    tokens.expect(')')
    return [type, isStream]
  }

  #optionStatement(): ProtoOption {
    const tokens = this.#tokens
    tokens.expect('option')
    const option = this.#option()
    tokens.expect(';')
    return option
  }

  /** In brackets, where there are some. */
  #fieldOptions(): readonly ProtoOption[] {
    const tokens = this.#tokens
    const options: ProtoOption[] = []
    if (!tokens.takes('[')) return options
    do options.push(this.#option())
    while (tokens.takes(','))
    tokens.expect(']')
    return options
  }

  #option(): ProtoOption {
    const tokens = this.#tokens
    let name = ''
    do {
      if (tokens.takes('(')) {
        name += `${name === '' ? '' : '.'}(${this.#typeName()})`
        tokens.expect(')')
      } else name += `${name === '' ? '' : '.'}${this.#name()}`
    } while (tokens.takes('.'))
    tokens.expect('=')
    return { name, value: this.#value() }
  }

  #value(): ProtoValue {
    const tokens = this.#tokens
    if (tokens.present.kind === 'string') return { kind: 'string', bytes: this.#stringBytes() }
    if (tokens.is('{') || tokens.is('<')) return this.#aggregate()
    if (tokens.is('[')) return this.#list()
    const sign = this.#sign()
    const { kind, text } = tokens.present
    if (kind !== 'number' && kind !== 'word') throw tokens.unexpected('a value')
    tokens.next()
    return { kind: 'word', text: sign + text }
  }

  #sign(): string {
    if (this.#tokens.takes('-')) return '-'
    this.#tokens.takes('+')
    return ''
  }

  #deeper(): void {
    if (++this.#depth > PROTOBUF_DEPTH_MAX)
      throw this.#tokens.fault(`values are nested too deeply: at most ${PROTOBUF_DEPTH_MAX} levels`)
  }

  #list(): ProtoValue {
    const tokens = this.#tokens
    const items: ProtoValue[] = []
    this.#deeper()
    tokens.expect('[')
    if (!tokens.is(']')) {
      do items.push(this.#value())
      while (tokens.takes(','))
    }
    tokens.expect(']')
    this.#depth--
    return { kind: 'list', items }
  }

  /** Of Protobuf's text format. */
  #aggregate(): ProtoValue {
    const tokens = this.#tokens
    const members: ProtoOption[] = []
    this.#deeper()
    const end = tokens.next().text === '{' ? '}' : '>'
    while (!tokens.takes(end)) {
      const name = this.#memberName()
      const hasColon = tokens.takes(':')
      if (!hasColon && !tokens.is('{') && !tokens.is('<')) throw tokens.unexpected("':'")
      members.push({ name, value: this.#value() })
      if (!tokens.takes(',')) tokens.takes(';')
    }
    this.#depth--
    return { kind: 'aggregate', members }
  }

  #memberName(): string {
    const tokens = this.#tokens
    if (!tokens.takes('[')) return this.#name()
    let name = this.#dottedName()
    while (tokens.takes('/')) name += `/${this.#dottedName()}`
    tokens.expect(']')
    return `[${name}]`
  }

  #name(): string {
    const { kind, text } = this.#tokens.present
    if (kind !== 'word') throw this.#tokens.unexpected('a name')
    this.#tokens.next()
    return text
  }

  #dottedName(): string {
    let name = this.#name()
    while (this.#tokens.takes('.')) name += `.${this.#name()}`
    return name
  }

  #typeName(): string {
    return this.#tokens.takes('.') ? `.${this.#dottedName()}` : this.#dottedName()
  }

  #string(): string {
    return this.#stringBytes().toString()
  }

  /** Strings one behind the other are one. */
  #stringBytes(): Buffer {
    const parts: Buffer[] = []
    for (let token = this.#tokens.present; token.kind === 'string'; token = this.#tokens.present) {
      parts.push(token.bytes)
      this.#tokens.next()
    }
    if (parts.length === 0) throw this.#tokens.unexpected('a string')
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
  }

  #wholeNumber(): number {
    const tokens = this.#tokens
    const { at } = tokens.present
    const isNegative = tokens.takes('-')
    const { kind, text } = tokens.present
    if (kind !== 'number' || !/^(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) throw tokens.unexpected('a whole number')
    const value = /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text)
    if (value > 2 ** 31 - (isNegative ? 0 : 1)) throw tokens.fault(`${text.slice(0, 40)} is too large`, at)
    tokens.next()
    return isNegative ? -value : value
  }
}
