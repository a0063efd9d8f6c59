// Clients of the Schema Registry as their makers publish them. They are heavy: a package of its own in test/clients has
// them, and where it is not installed the tests that need them are skipped.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const CLIENTS = join(import.meta.dirname, '..', 'clients')
const requireThere = createRequire(join(CLIENTS, 'package.json'))

/** false, or why not: as the `skip` of a test. */
export const clientsMissing = existsSync(join(CLIENTS, 'node_modules'))
  ? false
  : 'test/clients is not installed: npm ci --prefix test/clients'

/** What a package exports. One copy serves all that asks: @bufbuild/protobuf's are those of the clients. */
// biome-ignore lint/suspicious/noExplicitAny: packages that only tests know, and whose types are not installed here
export function clientPackage(name: string): any {
  return requireThere(name)
}
