// The library that checks by JSON Schemas, a class for each draft. Loaded, at once, with the first schema that needs it: a
// server without JSON Schemas does not pay for it.

import { createRequire } from 'node:module'
import type { Ajv, Options } from 'ajv'
import type { Draft } from './json-schema-documents.ts'

const require = createRequire(import.meta.url)

export function newAjv(draft: Draft, options: Options): Ajv {
  switch (draft) {
    case 4: {
      const { default: Ajv04 } = require('ajv-draft-04') as typeof import('ajv-draft-04')
      // A class of its own that is an Ajv in all but its types.
      return new Ajv04(options) as unknown as Ajv
    }
    case 2019:
      return new (require('ajv/dist/2019.js') as typeof import('ajv/dist/2019.js')).Ajv2019(options)
    case 2020:
      return new (require('ajv/dist/2020.js') as typeof import('ajv/dist/2020.js')).Ajv2020(options)
    default: {
      const ajv = new (require('ajv') as typeof import('ajv')).Ajv(options)
      const knowsDraft6 = draft !== 6 || options.meta === false
      return knowsDraft6 ? ajv : ajv.addMetaSchema(require('ajv/dist/refs/json-schema-draft-06.json'))
    }
  }
}

/** The names that drafts give to forms of texts, such as date-time. */
export function addFormats(ajv: Ajv): void {
  const { default: formats } = require('ajv-formats') as typeof import('ajv-formats')
  formats(ajv)
}
