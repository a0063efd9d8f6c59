// Metadata and rules of a new version: what the settings give by default, what the request says (or the version before
// said), what the settings give in any case.

import { registryFailure } from './registry-failure.ts'
import type { SchemaMetadata, SchemaRule, SchemaRuleSet } from './schema-entity.ts'
import { RULE_LISTS } from './schema-entity.ts'

/** The later ones win. */
export function mergeMetadata(...all: readonly (SchemaMetadata | undefined)[]): SchemaMetadata | undefined {
  const given = all.filter((one) => one !== undefined)
  if (given.length <= 1) return given[0]
  const tags = Object.assign({}, ...given.map((one) => one.tags ?? {}))
  const properties = Object.assign({}, ...given.map((one) => one.properties ?? {}))
  const sensitive = [...new Set(given.flatMap((one) => one.sensitive ?? []))]
  return {
    ...(Object.keys(tags).length === 0 ? {} : { tags }),
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
    ...(sensitive.length === 0 ? {} : { sensitive }),
  }
}

/** By their names. */
export function mergeRuleSets(...all: readonly (SchemaRuleSet | undefined)[]): SchemaRuleSet | undefined {
  const given = all.filter((one) => one !== undefined)
  if (given.length <= 1) return given[0]
  const lists = RULE_LISTS.flatMap((list) => {
    const byName = new Map<string, SchemaRule>()
    for (const one of given) for (const rule of one[list] ?? []) byName.set(rule.name ?? '', rule)
    return byName.size === 0 ? [] : [[list, [...byName.values()]]]
  })
  const enableAt = given.findLast((one) => one.enableAt !== undefined)?.enableAt
  return { ...Object.fromEntries(lists), ...(enableAt === undefined ? {} : { enableAt }) }
}

export const VERSION_PROPERTY = 'confluent:version'

export function withVersion(metadata: SchemaMetadata | undefined, version: number): SchemaMetadata {
  return { ...metadata, properties: { ...metadata?.properties, [VERSION_PROPERTY]: String(version) } }
}

/** Whether they differ in more than the version that they name. */
export function isSameMetadata(left: SchemaMetadata | undefined, right: SchemaMetadata | undefined): boolean {
  return textOf(left) === textOf(right)
}

function textOf(metadata: SchemaMetadata | undefined): string {
  const { tags = {}, properties = {}, sensitive = [] } = metadata ?? {}
  const sorted = (map: object) => Object.entries(map).sort(([left], [right]) => (left < right ? -1 : 1))
  return JSON.stringify([
    sorted(tags),
    sorted(properties).filter(([name]) => name !== VERSION_PROPERTY),
    sensitive.toSorted(),
  ])
}

const KINDS = new Set(['CONDITION', 'TRANSFORM'])
const MODES = new Set(['UPGRADE', 'DOWNGRADE', 'UPDOWN', 'READ', 'WRITE', 'WRITEREAD'])

/** 42210. */
export function checkRules(ruleSet: SchemaRuleSet | undefined): void {
  for (const list of RULE_LISTS) {
    const names = new Set<string>()
    for (const { name, type, kind, mode } of ruleSet?.[list] ?? []) {
      if (name === undefined || name === '') throw registryFailure(42210, 'Missing rule name')
      if (names.has(name)) throw registryFailure(42210, `Found rule with duplicate name '${name}'`)
      if (type === undefined || type === '') throw registryFailure(42210, 'Missing rule type')
      if (kind !== undefined && !KINDS.has(kind)) throw registryFailure(42210, `Invalid rule kind '${kind}'`)
      if (mode !== undefined && !MODES.has(mode)) throw registryFailure(42210, `Invalid rule mode '${mode}'`)
      names.add(name)
    }
  }
}
