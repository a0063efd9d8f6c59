// Is the process alive, and should requests be sent to it? /livez answers whenever the event loop turns. /readyz fails
// while the server is closing or cannot write at all; what leaves most of it usable (an offline partition, little room)
// is told with 200, because taking the node away would take the rest as well.

import type { FastifyInstance } from 'fastify'
import { describePartitionsOf } from './described-partitions.ts'
import type { HealthCheck, HttpFloor } from './http-floor.ts'

interface CheckReport {
  readonly name: string
  readonly status: 'pass' | 'warn' | 'fail'
  readonly detail?: string
}

export function healthRoutes(app: FastifyInstance, floor: HttpFloor): void {
  app.get('/livez', (_request, reply) => {
    reply.header('content-type', 'application/json').send('{"status":"alive"}\n')
  })
  app.get('/readyz', async (_request, reply) => {
    const checks = await report(floor)
    const failed = checks.some(({ status }) => status === 'fail')
    const warned = checks.some(({ status }) => status === 'warn')
    reply.code(failed ? 503 : 200)
    if (failed) reply.header('retry-after', 1)
    return { status: failed ? 'not_ready' : warned ? 'degraded' : 'ready', checks }
  })
}

async function report(floor: HttpFloor): Promise<CheckReport[]> {
  const serving: CheckReport = floor.closing.hasBegun
    ? { name: 'serving', status: 'fail', detail: 'the server is closing' }
    : { name: 'serving', status: 'pass' }
  const checks = [partitionsCheck(floor), ...floor.healthChecks]
  return [serving, ...(await Promise.all(checks.map(run)))]
}

async function run({ name, check }: HealthCheck): Promise<CheckReport> {
  try {
    return { name, ...(await check()) }
  } catch (error) {
    // The check's own failure is what it reports.
    return { name, status: 'fail', detail: error instanceof Error ? error.message : 'the check failed' }
  }
}

function partitionsCheck({ services, telemetry }: HttpFloor): HealthCheck {
  return {
    name: 'partitions',
    async check() {
      // Looking at ten thousand partitions for every probe would be a load of its own.
      if (telemetry.partitionsFailed + telemetry.badBatches === 0) return { status: 'pass' }
      const described = await describePartitionsOf(services.engine, services.engine.listTopics())
      const offline = described.filter(({ partition }) => partition.offline !== undefined).length
      const corrupt = described.filter(({ partition }) => partition.corrupt !== undefined).length
      const parts = offline === 0 ? [] : [`${partitions(offline)} ${offline === 1 ? 'is' : 'are'} offline`]
      if (corrupt > 0) parts.push(`bad batches were met in ${partitions(corrupt)}`)
      return parts.length === 0 ? { status: 'pass' } : { status: 'warn', detail: parts.join('; ') }
    },
  }
}

function partitions(count: number): string {
  return `${count} ${count === 1 ? 'partition' : 'partitions'}`
}
