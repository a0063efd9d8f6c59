// The HTTP floor's frame: one Fastify server, a plugin for each dialect with its own form of failures, and what holds for
// every request: an id that is echoed, counting, 404 and 405, the parser's refusals, a drain on close. What a request
// costs beyond its route is one onSend hook; the produce route does without.

import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastify } from 'fastify'
import { KnownJson } from '../codec/known-json.ts'
import { SchemaCodec } from '../codec/schema-codec.ts'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { CONNECTION_SILENCE_MS_MAX, REQUEST_HEAD_BYTES_MAX, REQUEST_HEAD_MS_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { FramedValues } from '../service/filter/framed-values.ts'
import { RecordExpressions } from '../service/filter/record-expressions.ts'
import { Closing } from './closing.ts'
import { addCors } from './cors.ts'
import { documentRoutes } from './documents.ts'
import { healthRoutes } from './health.ts'
import { HeldReplies } from './held-replies.ts'
import type { HealthCheck, HttpFloor, HttpOptions, RenderFailure, Routes, Services } from './http-floor.ts'
import { countReply, HttpTraffic } from './http-traffic.ts'
import { JsonBodies } from './json-body.ts'
import { LiveConnections } from './live-connections.ts'
import { metricsRoutes } from './metrics.ts'
import { addOriginCheck } from './origin.ts'
import type { UnreadableStatus } from './problem.ts'
import { rawProblemReply, renderProblem } from './problem.ts'
import { endBehindUpgrade, goOnBehindUpgrade } from './refused-upgrade.ts'
import { ReplyBuffers } from './reply-buffers.ts'
import { RequestBodies } from './request-body.ts'
import { requestIds } from './request-caller.ts'
import { failureHandler, failureOf } from './request-failure.ts'
import { consumerRecordRoutes } from './rest-proxy-v2/consumer-records.ts'
import { consumerRoutes } from './rest-proxy-v2/consumers.ts'
import { renderRestProxyFailure } from './rest-proxy-v2/failure.ts'
import { produceRoutes as restProxyProduceRoutes } from './rest-proxy-v2/produce.ts'
import { recordRoutes as restProxyRecordRoutes } from './rest-proxy-v2/records.ts'
import { rootRoutes } from './rest-proxy-v2/root.ts'
import { metadataRoutes } from './rest-proxy-v2/topics.ts'
import { SchemaForwarder } from './schema-forwarder.ts'
import { compatibilityRoutes } from './schema-registry/compatibility.ts'
import { contextRoutes } from './schema-registry/contexts.ts'
import { renderRegistryFailure } from './schema-registry/failure.ts'
import { schemaRoutes } from './schema-registry/schemas.ts'
import { settingsRoutes } from './schema-registry/settings.ts'
import { subjectRoutes } from './schema-registry/subjects.ts'
import { UnansweredRequests } from './unanswered-requests.ts'
import { clusterRoutes } from './v1/cluster.ts'
import { deleteRecordsRoutes } from './v1/delete-records.ts'
import { eventRoutes } from './v1/events.ts'
import { exportRoutes } from './v1/export.ts'
import { groupPollRoutes } from './v1/group-poll.ts'
import { groupRoutes } from './v1/groups.ts'
import { hookRoutes } from './v1/hooks.ts'
import { importRoutes } from './v1/import.ts'
import { offsetRoutes } from './v1/offsets.ts'
import { produceRoutes } from './v1/produce.ts'
import { recordRoutes } from './v1/record.ts'
import { readRoutes } from './v1/records.ts'
import { topicRoutes } from './v1/topics.ts'
import { isUpgrade, webSocketRoutes } from './websocket/upgrade.ts'

export interface ServerParts {
  readonly services: Services
  readonly options: HttpOptions
  readonly clock: Clock
  readonly logger: Logger
  readonly telemetry: Telemetry
  /** What /readyz asks beside the engine. */
  readonly healthChecks?: readonly HealthCheck[]
}

/** A set of routes that words its failures in its own way; so are unknown paths that begin as its own do. */
interface Dialect {
  /** Put before the paths of its routes. */
  readonly prefix: string
  /** What its paths begin with: their first segment. */
  readonly segments: readonly string[]
  readonly renderFailure: RenderFailure
  readonly routes: readonly Routes[]
}

const V1: Dialect = {
  prefix: '/v1',
  segments: ['v1'],
  renderFailure: renderProblem,
  routes: [
    topicRoutes,
    produceRoutes,
    readRoutes,
    recordRoutes,
    offsetRoutes,
    deleteRecordsRoutes,
    importRoutes,
    exportRoutes,
    eventRoutes,
    hookRoutes,
    groupRoutes,
    groupPollRoutes,
    clusterRoutes,
    webSocketRoutes,
  ],
}

/** The API of Confluent's REST Proxy, version 2. */
const REST_PROXY_V2: Dialect = {
  prefix: '',
  segments: ['', 'brokers', 'topics', 'consumers'],
  renderFailure: renderRestProxyFailure,
  routes: [
    rootRoutes,
    metadataRoutes,
    restProxyProduceRoutes,
    restProxyRecordRoutes,
    consumerRoutes,
    consumerRecordRoutes,
  ],
}

/** The API of Confluent's Schema Registry. */
const SCHEMA_REGISTRY: Dialect = {
  prefix: '',
  segments: ['subjects', 'schemas', 'compatibility', 'config', 'mode', 'contexts', 'associations'],
  renderFailure: renderRegistryFailure,
  routes: [schemaRoutes, subjectRoutes, compatibilityRoutes, settingsRoutes, contextRoutes],
}

/** Health, metrics and descriptions, and the failures of paths that are nobody's. */
const BASE: Dialect = {
  prefix: '',
  segments: [],
  renderFailure: renderProblem,
  routes: [healthRoutes, metricsRoutes, documentRoutes],
}

const DIALECTS: readonly Dialect[] = [V1, REST_PROXY_V2, SCHEMA_REGISTRY, BASE]

export function buildServer(parts: ServerParts): FastifyInstance {
  const { services, options, clock, logger, telemetry } = parts
  const closing = new Closing()
  const held = new HeldReplies()
  const requestId = requestIds(clock)
  const schemas = new SchemaCodec(services.registry)
  const unanswered = new UnansweredRequests()
  const bodies = new RequestBodies(options, clock)
  const floor: HttpFloor = {
    services,
    options,
    clock,
    logger,
    telemetry,
    bodies,
    json: new JsonBodies(),
    traffic: new HttpTraffic(),
    replyBuffers: new ReplyBuffers(),
    knownJson: new KnownJson(),
    schemas,
    schemaForwarder: new SchemaForwarder({ registry: services.registry, bodies, clock }),
    expressions: new RecordExpressions(new FramedValues(schemas)),
    closing,
    live: new LiveConnections(clock, logger),
    healthChecks: parts.healthChecks ?? [],
  }
  const app = fastify({
    genReqId: requestId,
    logger: false,
    keepAliveTimeout: options.connectionIdleMs,
    connectionTimeout: CONNECTION_SILENCE_MS_MAX,
    // Bodies have their own deadlines (request-body.ts): an import may take hours.
    requestTimeout: 0,
    http: {
      headersTimeout: REQUEST_HEAD_MS_MAX,
      maxHeaderSize: REQUEST_HEAD_BYTES_MAX,
      // What asks for another upgrade is served as if it had not.
      shouldUpgradeCallback: (request) => isUpgrade(request, floor, unanswered),
    },
    return503OnClosing: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: REQUEST_HEAD_BYTES_MAX },
    schemaController: { compilersFactory: { buildValidator: withoutSchemas, buildSerializer: withoutSchemas } },
    clientErrorHandler: (error, socket) => answerUnreadable(error, socket, unanswered, requestId),
    frameworkErrors: (error, request, reply) => {
      reply.header('x-request-id', request.id)
      dialectOf(request.url).renderFailure(failureOf(error), request, reply)
    },
  })
  app.server.maxConnections = options.connectionsMax
  unanswered.watch(app.server)
  app.server.prependListener('request', endBehindUpgrade)
  // All replies of our own end with a line's end, so that a terminal's prompt does not stick to them.
  app.setReplySerializer((payload) => `${JSON.stringify(payload)}\n`)
  leaveBodiesToHandlers(app)
  app.addHook('onRequest', ({ raw }, _reply, done) => unanswered.takeTurn(raw, done))
  addCors(app, options.allowedOrigins)
  addOriginCheck(app, options)
  app.addHook('onSend', (request, reply, payload, done) => {
    reply.header('x-request-id', request.id)
    goOnBehindUpgrade(request.raw, reply.raw)
    // A stop waits for connections, and would wait for one that has nothing more to say.
    if (closing.hasBegun) reply.header('connection', 'close')
    const isWhole = Buffer.isBuffer(payload) || typeof payload === 'string'
    const refusal = isWhole ? held.hold(reply.raw, payload.length) : undefined
    if (refusal !== undefined) {
      floor.replyBuffers.giveBackOf(reply.raw)
      // Comes by here again, as a small reply.
      done(refusal)
      return
    }
    countReply(floor.traffic.of(request.method, request.routeOptions.url ?? 'none'), reply.statusCode)
    done(null, payload)
  })
  const routes = knownRoutes(app)
  const renderByPath: RenderFailure = (failure, request, reply) =>
    dialectOf(request.url).renderFailure(failure, request, reply)
  app.setErrorHandler(failureHandler(renderByPath, logger))
  app.setNotFoundHandler((request, reply) => answerUnrouted(routes, request, reply))
  for (const dialect of DIALECTS) mountDialect(app, dialect, floor)
  drainOnClose(app, floor)
  return app
}

/** No route has a schema of fastify's: else it would load what compiles them, some megabytes. */
function withoutSchemas(): never {
  throw new TypeError('routes have no schemas of their own here')
}

function dialectOf(url: string): Dialect {
  const segment = url.split(/[/?]/, 2)[1] ?? ''
  return DIALECTS.find(({ segments }) => segments.includes(segment)) ?? BASE
}

/** In an instance of its own, so that the form of failures is that of its routes alone. */
function mountDialect(app: FastifyInstance, dialect: Dialect, floor: HttpFloor): void {
  app.register(
    (instance, _options, done) => {
      instance.setErrorHandler(failureHandler(dialect.renderFailure, floor.logger))
      for (const add of dialect.routes) add(instance, floor)
      done()
    },
    { prefix: dialect.prefix },
  )
}

/** Every content type passes, unread: handlers take the bytes through floor.bodies. */
function leaveBodiesToHandlers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined))
}

interface KnownRoutes {
  /** The methods that a path takes under other names than the one that was tried; empty for an unknown path. */
  methodsOf(path: string): readonly string[]
}

function knownRoutes(app: FastifyInstance): KnownRoutes {
  const methodsByRoute = new Map<string, { pattern: RegExp; methods: Set<string> }>()
  app.addHook('onRoute', ({ url, method }) => {
    const route = methodsByRoute.get(url) ?? { pattern: patternOf(url), methods: new Set(['OPTIONS']) }
    for (const name of [method].flat()) route.methods.add(name)
    methodsByRoute.set(url, route)
  })
  return {
    methodsOf(path) {
      const fitting = [...methodsByRoute.values()].filter(({ pattern }) => pattern.test(path))
      return [...new Set(fitting.flatMap(({ methods }) => [...methods]))].sort()
    },
  }
}

/** A route's path as a pattern: `:name` stands for one segment, `*` for the rest. */
function patternOf(url: string): RegExp {
  const literal = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${literal.replace(/:[A-Za-z0-9_]+/g, '[^/]+').replace('*', '.*')}/?$`)
}

function answerUnrouted(routes: KnownRoutes, request: FastifyRequest, reply: FastifyReply): void {
  const path = request.url.split('?', 1)[0] ?? ''
  const allow = routes.methodsOf(path)
  if (allow.length > 0 && request.method === 'OPTIONS') {
    reply.code(204).header('allow', allow.join(', ')).send()
    return
  }
  const failure = allow.length > 0 ? wrongMethod(request.method, allow) : unknownRoute(request.method, path)
  dialectOf(path).renderFailure(failure, request, reply)
}

function wrongMethod(method: string, allow: readonly string[]): TailraceError {
  return new TailraceError('method_not_allowed', `${method} is not taken here; ${allow.join(', ')} are`, { allow })
}

function unknownRoute(method: string, path: string): TailraceError {
  const [, version, segment = ''] = path.split('/', 3)
  const isRegistry = version === V1.segments[0] && SCHEMA_REGISTRY.segments.includes(segment)
  const hint = isRegistry ? '; the schema registry is at /subjects and /schemas, without /v1' : ''
  return new TailraceError('route_not_found', `there is nothing at ${method} ${path.slice(0, 200)}${hint}`)
}

/** What Node's parser refused never became a request: the answer is written to the socket itself, behind those of what came before. */
function answerUnreadable(
  error: Error & { code?: string },
  socket: Socket,
  unanswered: UnansweredRequests,
  requestId: ReturnType<typeof requestIds>,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, failure] = unreadable(error.code)
  unanswered.whenAnswered(socket, () => {
    socket.end(rawProblemReply(failure, status, requestId({ headers: {} } as never)))
  })
}

function unreadable(code: string | undefined): [status: UnreadableStatus, failure: TailraceError] {
  if (code === 'HPE_HEADER_OVERFLOW') {
    const detail = `request line and headers are larger than ${REQUEST_HEAD_BYTES_MAX} bytes`
    return [431, new TailraceError('request_too_large', detail, { limit: REQUEST_HEAD_BYTES_MAX })]
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return [408, new TailraceError('request_timed_out', 'the request head did not arrive in time')]
  }
  return [400, new TailraceError('invalid_request', `this is not HTTP/1.1 as it should be (${code ?? 'unreadable'})`)]
}

/** Fastify closes idle connections, marks the others Connection: close and waits for them; not for ever. */
function drainOnClose(app: FastifyInstance, floor: HttpFloor): void {
  app.addHook('preClose', (done) => {
    floor.closing.begin()
    floor.live.drain()
    const cut = floor.clock.after(floor.options.shutdownGraceMs, () => app.server.closeAllConnections())
    app.server.once('close', () => cut.cancel())
    done()
  })
  app.addHook('onClose', (_instance, done) => {
    floor.bodies.close()
    done()
  })
}
