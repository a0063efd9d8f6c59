// Metadata and rules of a new version: what the settings give by default, what the request says (or the version before
// said), what the settings give in any case.

import { registryFailure } from './registry-failure.ts'
import type { SchemaContent, SchemaMetadata, SchemaRule, SchemaRuleSet, StoredSchema } from './schema-entity.ts'
import { RULE_LISTS } from './schema-entity.ts'
import type { SchemaSettings } from './schema-entries.ts'
import { METADATA_SETTINGS, RULE_SET_SETTINGS } from './schema-entries.ts'

/** The later ones win. */
function mergeMetadata(...all: readonly (SchemaMetadata | undefined)[]): SchemaMetadata | undefined {
  const given = all.filter((one) => one !== undefined)
  if (given.length <= 1) return given[0]
  const tags = Object.fromEntries(given.flatMap((one) => Object.entries(one.tags ?? {})))
  const properties = Object.fromEntries(given.flatMap((one) => Object.entries(one.properties ?? {})))
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

/** They add to what is registered. */
export function fillsIn(settings: SchemaSettings): boolean {
  return [...METADATA_SETTINGS, ...RULE_SET_SETTINGS].some((name) => settings[name] !== undefined)
}

/** With what the settings give and, where it has none of its own, what the version before had. */
export function filledIn(
  content: SchemaContent,
  settings: SchemaSettings,
  latest: StoredSchema | undefined,
): SchemaContent {
  const metadataOf = (name: (typeof METADATA_SETTINGS)[number]) => settings[name] as SchemaMetadata | undefined
  const rulesOf = (name: (typeof RULE_SET_SETTINGS)[number]) => settings[name] as SchemaRuleSet | undefined
  return {
    ...content,
    metadata: mergeMetadata(
      metadataOf('defaultMetadata'),
      content.metadata ?? latest?.metadata,
      metadataOf('overrideMetadata'),
    ),
    ruleSet: mergeRuleSets(rulesOf('defaultRuleSet'), content.ruleSet ?? latest?.ruleSet, rulesOf('overrideRuleSet')),
  }
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
