// What /readyz says of the schema registry: until it has read its topic, nothing should be sent here that needs schemas.

import type { HealthCheck } from '../http/http-floor.ts'
import type { SchemaRegistry } from '../registry/schema-registry.ts'

export function registryCheck(registry: SchemaRegistry): HealthCheck {
  return {
    name: 'schemas',
    async check() {
      const { failure } = registry
      if (failure === undefined) return { status: 'pass' }
      // one that cannot be read leaves the rest usable
      return { status: failure.code === 'overloaded' ? 'fail' : 'warn', detail: failure.message }
    },
  }
}
