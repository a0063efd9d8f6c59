// What every route file of the HTTP floor is given, and the form in which it registers: a resource file exports one
// `Routes` function, server.ts mounts it under its dialect's prefix. Types only.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { KnownJson } from '../codec/known-json.ts'
import type { SchemaCodec } from '../codec/schema-codec.ts'
import type { Engine } from '../engine/engine.ts'
import type { Clock } from '../kernel/clock.ts'
import type { TailraceError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { SchemaRegistry } from '../registry/schema-registry.ts'
import type { ConsumerInstances } from '../service/consumers/consumer-instances.ts'
import type { RecordExpressions } from '../service/filter/record-expressions.ts'
import type { GroupTailService } from '../service/group-tails/group-tail.ts'
import type { GroupPollService } from '../service/groups/group-poll.ts'
import type { GroupService } from '../service/groups/groups.ts'
import type { ProduceService } from '../service/produce/produce.ts'
import type { ConsumeService } from '../service/read/consume.ts'
import type { TailService } from '../service/tail/tail.ts'
import type { TopicService } from '../service/topics.ts'
import type { Closing } from './closing.ts'
import type { HttpTraffic } from './http-traffic.ts'
import type { JsonBodies } from './json-body.ts'
import type { LiveConnections } from './live-connections.ts'
import type { AdvertisedAddress } from './own-url.ts'
import type { ReplyBuffers } from './reply-buffers.ts'
import type { RequestBodies } from './request-body.ts'
import type { SchemaForwarder } from './schema-forwarder.ts'

/** Bounds and times of the floor; app takes them from the configuration. */
export interface HttpOptions {
  /** What a request body may hold on the wire, and inflated; a streamed import is bounded by its lines alone. */
  readonly bodyBytesMax: number
  /** A whole request must be there after this; of a streamed body, its next bytes. 0: no limit. */
  readonly requestTimeoutMs: number
  /** Of a connection without requests. 0: no limit. */
  readonly connectionIdleMs: number
  readonly connectionsMax: number
  /** How long close() waits for requests under way before it cuts them. */
  readonly shutdownGraceMs: number
  /** The REST Proxy v2 API also takes application/json on produce, and timestamp and headers in records. */
  readonly compatLenient: boolean
  /** Origins whose pages may come here, beside this server's own: origin.ts. */
  readonly allowedOrigins: readonly string[]
  /** Where the server listens: one that only its own machine can reach has no other name. */
  readonly host?: string | undefined
  /** How replies name this server where they need an absolute URL; undefined: as the request named it. */
  readonly advertised: AdvertisedAddress | undefined
  /** Bytes of records of one read of a consumer that the server keeps (REST Proxy v2). */
  readonly consumerRequestBytesMax: number
  /** Of Confluent's Schema Registry, the major version whose replies the registry's have. */
  readonly schemaRegistryProfile: 7 | 8
}

/** Something that /readyz asks; a rejection counts as 'fail'. */
export interface HealthCheck {
  readonly name: string
  check(): Promise<{ readonly status: 'pass' | 'warn' | 'fail'; readonly detail?: string }>
}

/** The use cases that the routes call; the engine itself only for health, metrics and the cluster's description. */
export interface Services {
  readonly engine: Engine
  readonly topics: TopicService
  readonly produce: ProduceService
  readonly consume: ConsumeService
  readonly groups: GroupService
  readonly consumers: ConsumerInstances
  readonly groupPolls: GroupPollService
  readonly tails: TailService
  readonly groupTails: GroupTailService
  readonly registry: SchemaRegistry
}

export interface HttpFloor {
  readonly services: Services
  readonly options: HttpOptions
  readonly clock: Clock
  readonly logger: Logger
  readonly telemetry: Telemetry
  /** Raw request bytes: `await floor.bodies.read(request.raw)`, or `collect` with a callback on a hot path. */
  readonly bodies: RequestBodies
  readonly traffic: HttpTraffic
  /** Memory for pages of records, and what readers found to be JSON, whatever they asked for. */
  readonly replyBuffers: ReplyBuffers
  readonly knownJson: KnownJson
  /** Keys and values that are framed with the id of their schema. */
  readonly schemas: SchemaCodec
  /** For what changes the schema registry. */
  readonly schemaForwarder: SchemaForwarder
  /** Of filters. */
  readonly expressions: RecordExpressions
  /** Small JSON bodies, parsed and checked: `await floor.json.parse<CreateTopic>(bytes, 'CreateTopicRequest')`. */
  readonly json: JsonBodies
  /** Begun from the first moment of close(): readiness fails, waiting reads answer, what is under way is finished. */
  readonly closing: Closing
  /** Event streams and WebSockets. */
  readonly live: LiveConnections
  readonly healthChecks: readonly HealthCheck[]
}

/** A resource's routes: adds them to an instance whose prefix, error form and not-found form are set already. */
export type Routes = (app: FastifyInstance, floor: HttpFloor) => void

/** How a dialect words a failure: status, media type and body. Called once a failed request, never for its success. */
export type RenderFailure = (failure: TailraceError, request: FastifyRequest, reply: FastifyReply) => void
