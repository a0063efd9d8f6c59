// What a request for one schema asks to see beside what is stored: its references in full, its tags.

import type { FastifyRequest } from 'fastify'
import type { EntityTags, StoredSchema } from '../../registry/schema-entity.ts'
import { qualifiedReference } from '../../registry/schema-state.ts'
import { taggedPlaces } from '../../registry/schema-tags.ts'
import { parseSubject } from '../../registry/subject.ts'
import { textOf, textsOf } from './registry-query.ts'
import type { ViewedSchema } from './registry-replies.ts'

export function viewed(request: FastifyRequest, stored: StoredSchema): ViewedSchema {
  const isQualified = textOf(request, 'referenceFormat')?.toLowerCase() === 'qualified'
  const tags = textsOf(request, 'findTags')
  if (!isQualified && tags.length === 0) return stored
  const { context } = parseSubject(stored.subject)
  const references = stored.references.map((one) => ({ ...one, subject: qualifiedReference(context, one.subject) }))
  return {
    ...stored,
    references: isQualified ? references : stored.references,
    schemaTags: tags.length === 0 ? [] : taggedWith(tags, stored).map(tagsJson),
  }
}

/** Places with one of the tags, or with any (`*`). */
function taggedWith(wanted: readonly string[], stored: StoredSchema): readonly EntityTags[] {
  const isWanted = wanted.includes('*') ? () => true : (tag: string) => wanted.includes(tag)
  return taggedPlaces(stored).filter(({ tags }) => tags.some(isWanted))
}

function tagsJson({ path, isField, tags }: EntityTags): object {
  return { schemaEntity: { entityPath: path, entityType: isField ? 'sr_field' : 'sr_record' }, tags }
}
