// The schema registry above the engine's contract: what is known is what its topic says (schema-state.ts); what is asked
// for is checked against that, written, and answered when it is known. Writers take turns: ids have no holes, and the same
// schema never gets two. Where there are several nodes, one of them writes (schema-writer.ts), and what it writes is taken
// from it as long as no other has claimed to be the one: then it plans again, on what is known by now.

import type { Engine } from '../engine/engine.ts'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { REGISTRY_WRITE_TRIES_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import { SerialQueue } from '../kernel/serial-queue.ts'
import { schemaNotFound, versionNotFound } from './registry-failure.ts'
import type { Change } from './schema-changes.ts'
import {
  contextDeletion,
  modeChange,
  modeDeletion,
  settingsChange,
  settingsDeletion,
  subjectDeletion,
  versionDeletion,
} from './schema-changes.ts'
import type { SchemaRuleSet, StoredSchema } from './schema-entity.ts'
import type { Entry, SchemaMode, SchemaSettings } from './schema-entries.ts'
import { keyText, RULE_SET_SETTINGS } from './schema-entries.ts'
import type { LookupOptions, SchemaRequest, VersionName } from './schema-finder.ts'
import { SchemaFinder } from './schema-finder.ts'
import type { ParsedSchema } from './schema-format.ts'
import { SchemaLog } from './schema-log.ts'
import { checkRules } from './schema-merge.ts'
import type { SchemaFormats } from './schema-parser.ts'
import { SchemaParser } from './schema-parser.ts'
import type { Known, RegisterOptions } from './schema-registration.ts'
import { planRegistration, testedFaults } from './schema-registration.ts'
import { repairOf } from './schema-repair.ts'
import { effectiveMode, effectiveSettings, scopeOf } from './schema-scopes.ts'
import { SchemaState } from './schema-state.ts'
import type { SchemaChanges } from './schema-tags.ts'
import { changedContent } from './schema-tags.ts'
import type { SchemaWriter } from './schema-writer.ts'
import { canonicalSubject, checkScope, checkSubject, parseSubject, printSubject } from './subject.ts'

export interface Registrant {
  readonly subject: string
  readonly request: SchemaRequest
}

export interface Registered {
  readonly schema: StoredSchema
  /** It is not what was asked for to the letter: the registry filled something in. */
  readonly isFilledIn: boolean
}

export interface CompatibilityAnswer {
  readonly isCompatible: boolean
  readonly messages: readonly string[]
}

/** What is asked of it; its owner opens and closes it. */
export type WriterSeat = Pick<SchemaWriter, 'name' | 'isHere' | 'own' | 'place'>

export interface SchemaRegistryOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly logger: Logger
  readonly formats: SchemaFormats
  /** Where other nodes may be on the engine. */
  readonly writer?: WriterSeat | undefined
}

const PATTERNS_TOLD = 3
const PATTERN_CHARS_TOLD = 200

export class SchemaRegistry {
  /** undefined: nobody else writes. */
  readonly writer: WriterSeat | undefined
  #known: Known
  #revision = 0
  #isToRestore = false
  readonly #log: SchemaLog
  readonly #writes = new SerialQueue()
  readonly #logger: Logger
  /** For what nobody here knows of them. */
  readonly #examined = new WeakSet<ParsedSchema>()

  constructor(options: SchemaRegistryOptions) {
    this.#logger = options.logger
    this.writer = options.writer
    this.#known = knowingNothing(options.formats)
    this.#log = new SchemaLog({
      ...options,
      apply: (key, value, timestamp, author) => {
        this.#revision++
        const isTaken = this.#known.state.apply(key, value, timestamp, author)
        if (!isTaken && author !== undefined && this.#holdsClaim) this.#restoreSoon()
        return isTaken
      },
      forget: () => {
        this.#revision++
        this.#known = knowingNothing(options.formats)
      },
    })
  }

  /** Why it cannot answer at present; undefined: it can. */
  get failure(): TailraceError | undefined {
    return this.#log.failure
  }

  /** Another one whenever something may have changed. */
  get revision(): number {
    return this.#revision
  }

  /** What is known now, to be read; only while there is no failure. */
  get state(): SchemaState {
    return this.#known.state
  }

  /** Resolves when what is in its topic by now is known. Throws what keeps it from being. */
  async ready(): Promise<void> {
    await this.#log.caughtUp()
    if (this.#log.failure !== undefined) throw this.#log.failure
  }

  async close(): Promise<void> {
    this.#log.close()
    await this.#writes.idle()
  }

  /** Of a stored schema. 42201: what it refers to is gone. */
  parsed(schema: StoredSchema): ParsedSchema {
    const parsed = this.#known.finder.parsed(schema)
    this.#tellUnchecked(schema, parsed)
    return parsed
  }

  #tellUnchecked({ subject, version }: StoredSchema, parsed: ParsedSchema): void {
    if (this.#examined.has(parsed)) return
    this.#examined.add(parsed)
    const { unchecked = [] } = parsed
    if (unchecked.length === 0) return
    const patterns = unchecked.slice(0, PATTERNS_TOLD).map((pattern) => pattern.slice(0, PATTERN_CHARS_TOLD))
    this.#logger.warn(
      { subject, version, patterns },
      'no engine here knows these patterns: values are not checked by them',
    )
  }

  /** The text of a stored schema in a form that a client names; as it is stored where the name means nothing. 42201. */
  formatted(schema: StoredSchema, form: string): string {
    return this.#known.parser.formatted(schema, form)
  }

  /** Characters of a stored schema, and of all that it refers to. 42201. */
  charsOf(schema: StoredSchema): number {
    return this.#known.parser.charsOf(schema, schema.subject)
  }

  /** Its subject stands for another one: the other one's name. */
  aliased(subject: string): string {
    const alias = this.state.settings(scopeOf(subject))?.['alias']
    if (typeof alias !== 'string' || alias === '') return canonicalSubject(subject)
    const { context } = parseSubject(subject)
    return alias.startsWith(':.') ? canonicalSubject(alias) : printSubject({ context, name: alias })
  }

  /** For a name without a context, in any other where the default one has none. 40401, 40402. */
  version(subject: string, name: VersionName, deleted = false): StoredSchema {
    return this.#known.finder.version(subject, name, deleted)
  }

  /** Those that a subject has, the lowest first. 40401. */
  versions(
    subject: string,
    which: { readonly deleted?: boolean; readonly deletedOnly?: boolean } = {},
  ): readonly StoredSchema[] {
    return this.#known.finder.versions(subject, which)
  }

  /**
   * By an id, in the context of a subject where one is named: there, else anywhere else, else in the default context.
   * 40403.
   */
  byId(id: number, subject?: string): StoredSchema {
    const found = this.#known.finder.byId(id, subject)
    if (found === undefined) throw schemaNotFound(id)
    return found
  }

  /** As byId; undefined for none. */
  findById(id: number, subject?: string): StoredSchema | undefined {
    return this.#known.finder.byId(id, subject)
  }

  /** Who finds a schema by its id alone, as readers of records do, finds this one: its text, and all that it refers to. */
  isFoundById(schema: StoredSchema): boolean {
    return this.#known.finder.isFoundById(schema)
  }

  /** Of a subject that is not there: one that is, and may be meant. */
  nearestSubject(subject: string): string | undefined {
    return this.#known.finder.nearestSubject(subject)
  }

  /** What a schema calls its record; undefined where it has no name. 42201, 42209. */
  recordName(request: SchemaRequest): string | undefined {
    return this.#known.finder.recordName(request)
  }

  /** Every version that has the id, in the context of a subject where one is named. 40403 where nothing has. */
  sharing(id: number, subject?: string): readonly StoredSchema[] {
    return this.#known.finder.sharing(id, subject)
  }

  /** 40403. */
  byGuid(guid: string): StoredSchema {
    return this.#known.finder.byGuid(guid)
  }

  /** The version of a subject that has this schema, the newest first. 40401, 40403, 42201. */
  lookup(subject: string, request: SchemaRequest, options: LookupOptions = {}): StoredSchema {
    return this.#known.finder.lookup(subject, request, options)
  }

  /** The ids of those that refer to it, rising. 40401, 40402. */
  referencedBy(subject: string, version: VersionName, deleted = false): readonly number[] {
    return this.#known.finder.referencedBy(subject, version, deleted)
  }

  /** With one version, or with all that the level asks for. 40402, 42201. */
  testCompatibility(
    subject: string,
    version: VersionName | 'all',
    request: SchemaRequest,
    normalize = false,
  ): CompatibilityAnswer {
    const { state } = this.#known
    const named = typeof version === 'number' ? state.version(canonicalSubject(subject), version) : undefined
    if (typeof version === 'number' && named?.schema.deleted !== false) throw versionNotFound(version)
    const isNormalized = normalize || this.settings(subject)['normalize'] === true
    const messages = testedFaults(this.#known, subject, version, request, isNormalized)
    return { isCompatible: messages.length === 0, messages }
  }

  /** In force for it. */
  settings(subject: string): SchemaSettings {
    return effectiveSettings(this.state, subject)
  }

  mode(subject: string): SchemaMode {
    return effectiveMode(this.state, subject)
  }

  /** 42201, 42205, 42208, 42209, 42210, 40901; what keeps the topic from being written, for every write: 50004 where another node writes. */
  register(subject: string, request: SchemaRequest, options: RegisterOptions = {}): Promise<Registered> {
    return this.#write((known) => planned(known, { subject, request }, options))
  }

  /** Under subjects of their own. As register; where one of them is refused none is registered. */
  registerAll(all: readonly Registrant[]): Promise<readonly Registered[]> {
    return this.#writes.run(async () => {
      await this.ready()
      for (const one of all) planned(this.#known, one, {})
      const registered: Registered[] = []
      for (const one of all) registered.push(await this.#written((known) => planned(known, one, {})))
      return registered
    })
  }

  /** A version once more, with other metadata, rules and tags. As version and register. */
  registerChanged(subject: string, version: VersionName, changes: SchemaChanges): Promise<Registered> {
    return this.#write((known) => {
      const request = changedContent(known.finder.version(subject, version, false), changes)
      return planned(known, { subject, request }, {})
    })
  }

  /** Gives the versions that were there. 40401, 40404, 40405, 42205, 42206. */
  deleteSubject(subject: string, permanent: boolean): Promise<readonly number[]> {
    return this.#change((known) => subjectDeletion(known, canonicalSubject(subject), permanent))
  }

  /** Gives the number. 40401, 40402, 40406, 40407, 42205, 42206. */
  deleteVersion(subject: string, version: VersionName, permanent: boolean): Promise<number> {
    return this.#change((known) => versionDeletion(known, canonicalSubject(subject), version, permanent))
  }

  /** Of a subject, a context or ('') all: a name with undefined stays, with null is unset. Gives what is set then. */
  changeSettings(subject: string, changes: SchemaSettings): Promise<SchemaSettings> {
    if (subject !== '') checkScope(subject)
    for (const name of RULE_SET_SETTINGS) checkRules((changes[name] ?? undefined) as SchemaRuleSet | undefined)
    return this.#change((known) => settingsChange(known, subject, changes))
  }

  /** Gives what was set; undefined: nothing was. */
  deleteSettings(subject: string): Promise<SchemaSettings | undefined> {
    return this.#change((known) => settingsDeletion(known, subject))
  }

  /** null unsets. 42204, 42205, 42206, 42208. */
  changeMode(subject: string, mode: SchemaMode | null, force: boolean): Promise<void> {
    if (subject !== '') checkScope(subject)
    return this.#change((known) => modeChange(known, subject, mode, force))
  }

  /** Gives what was set for it; undefined: nothing was. `recursive`: those below it, too. */
  deleteMode(subject: string, recursive: boolean): Promise<SchemaMode | undefined> {
    return this.#change((known) => modeDeletion(known, subject, recursive))
  }

  /** 42211: it has versions, deleted ones count. */
  deleteContext(context: string): Promise<void> {
    return this.#change((known) => contextDeletion(known, context))
  }

  #change<Answer>(plan: (known: Known) => Change<Answer>): Promise<Answer> {
    return this.#write((known) => {
      const { entries, answer } = plan(known)
      return { entries, answer: () => answer }
    })
  }

  /** One at a time, each on what the last one left. */
  #write<Answer>(plan: (known: Known) => Change<() => Answer>): Promise<Answer> {
    return this.#writes.run(() => this.#written(plan))
  }

  async #written<Answer>(plan: (known: Known) => Change<() => Answer>): Promise<Answer> {
    for (let left = REGISTRY_WRITE_TRIES_MAX; left > 0; left--) {
      await this.ready()
      if (!(await this.#isAuthor())) continue
      const { entries, answer } = plan(this.#known)
      if (entries.length === 0 || (await this.#append(entries))) return answer()
    }
    throw new TailraceError('overloaded', 'another node has written to the registry at the same time; try again')
  }

  /** What is known is all that was written before it, and nothing that others write from here on counts. 50004. */
  async #isAuthor(): Promise<boolean> {
    if (this.writer === undefined) return true
    await this.writer.own()
    const { author } = this.state
    if (!this.#holdsClaim) {
      const claim = { claim: (author?.claim ?? 0) + 1, name: this.writer.name }
      const isTaken = await this.#log.append([{ key: keyText({ kind: 'NOOP' }), value: null }], claim)
      if (!isTaken) return false
    }
    return await this.#restore()
  }

  /** What is known is what stands last, under every key. False: others have written meanwhile. */
  async #restore(): Promise<boolean> {
    for (const key of [...this.state.displaced]) {
      for (const entries of repairOf(this.state, key)) if (!(await this.#append(entries))) return false
    }
    return true
  }

  /** False: not all of it counts, for anybody; or it was not written. */
  async #append(entries: readonly Entry[]): Promise<boolean> {
    if (this.writer === undefined) return await this.#log.append(entries)
    if (!this.#holdsClaim || !this.writer.isHere) return false
    return await this.#log.append(entries, this.state.author)
  }

  get #holdsClaim(): boolean {
    return this.writer !== undefined && this.state.author?.name === this.writer.name
  }

  /** Who holds the claim does, and claims nothing for it: two that both think that they write would go on for ever. */
  #restoreSoon(): void {
    if (this.#isToRestore) return
    this.#isToRestore = true
    const work = this.#writes.run(async () => {
      this.#isToRestore = false
      await this.ready()
      if (this.#holdsClaim) await this.#restore()
    })
    // the next write does it
    work.catch(() => {})
  }
}

function planned(known: Known, { subject, request }: Registrant, options: RegisterOptions): Change<() => Registered> {
  checkRules(request.ruleSet)
  checkSubject(subject)
  const name = canonicalSubject(subject)
  const { version, entries, isFilledIn } = planRegistration(known, name, request, options)
  return { entries, answer: () => ({ schema: known.finder.ownVersion(name, version).schema, isFilledIn }) }
}

function knowingNothing(formats: SchemaFormats): Known {
  const state = new SchemaState()
  const parser = new SchemaParser(formats, state)
  return { state, parser, finder: new SchemaFinder(state, parser) }
}
