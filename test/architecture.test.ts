// The walls between the rooms of src, read from its imports. The floors and their reasons stand in ARCHITECTURE.md; an
// exception is made there and here, never as a suppression. Each rule is also shown to find a planted violation, because
// a reader that understands none of the files finds none either.

import assert from 'node:assert/strict'
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { ICruiseOptions, ICruiseResult, IRegularForbiddenRuleType } from 'dependency-cruiser'
import { cruise } from 'dependency-cruiser'

const root = join(import.meta.dirname, '..')

// From the ground up. A file imports from its own room and from lower floors only.
const floors = [
  ['kernel'],
  ['record'],
  ['engine'],
  ['log', 'coordinator'],
  ['local-engine', 'kafka-engine'],
  ['registry'],
  ['codec'],
  ['service'],
  ['http', 'wire', 'client'],
  ['app'],
  ['cli'],
]
const rooms = floors.flat()

const inside = (names: string[]) => names.map((name) => `^src/${name}/`)
// An empty list of paths would match every path.
const noneOr = (paths: string[]) => (paths.length > 0 ? paths : ['^$'])
const library = (names: string[]) => names.map((name) => `(^|node_modules/)${name}(/|$)`)
const allBut = (names: string[]) => inside(rooms.filter((room) => !names.includes(room)))

function rule(name: string, from: IRegularForbiddenRuleType['from'], to: IRegularForbiddenRuleType['to']) {
  return { name, severity: 'error', from, to } satisfies IRegularForbiddenRuleType
}

const looksDownOnly = floors.flatMap((floor, height) =>
  floor.map((room) => {
    const neighbours = floor.filter((other) => other !== room)
    const above = floors.slice(height + 1).flat()
    return rule(
      `${room}-looks-down-only`,
      { path: inside([room]) },
      { path: noneOr(inside([...neighbours, ...above])) },
    )
  }),
)

// The rooms within service, the same way. A file that stands in none is below them all.
const serviceSteps = [['filter'], ['read'], ['produce', 'groups'], ['tail'], ['leases', 'consumers'], ['group-tails']]
const serviceRooms = serviceSteps.flat()

const serviceLooksDownOnly = serviceSteps.flatMap((step, height) => {
  const below = [
    '[^/]+[.]ts$',
    ...serviceSteps
      .slice(0, height)
      .flat()
      .map((room) => `${room}/`),
  ]
  return step.map((room) =>
    rule(
      `service-${room}-looks-down-only`,
      { path: `^src/service/${room}/` },
      { path: '^src/service/', pathNot: [...below, `${room}/`].map((path) => `^src/service/${path}`) },
    ),
  )
})

const walls: IRegularForbiddenRuleType[] = [
  rule('no-cycle', {}, { circular: true }),
  ...looksDownOnly,
  ...serviceLooksDownOnly,
  rule('service-files-are-below-its-rooms', { path: '^src/service/[^/]+[.]ts$' }, { path: '^src/service/[^/]+/' }),
  rule(
    'engine-is-known-by-its-contract',
    { path: inside(['registry', 'codec', 'service', 'http', 'wire']) },
    { path: inside(['log', 'coordinator', 'local-engine', 'kafka-engine']) },
  ),
  rule('wire-speaks-record-and-engine', { path: inside(['wire']) }, { path: inside(['registry', 'codec', 'service']) }),
  rule('client-stands-alone', { path: inside(['client']) }, { path: allBut(['client', 'kernel']) }),
  rule(
    'cli-goes-through-client-and-app',
    { path: inside(['cli']) },
    { path: allBut(['cli', 'app', 'client', 'kernel', 'record', 'log']) },
  ),
  rule(
    'only-dump-log-reads-the-disk',
    { path: inside(['cli']), pathNot: '^src/cli/dump-log' },
    { path: inside(['record', 'log']) },
  ),
  rule(
    'bytes-and-groups-do-no-io',
    { path: inside(['record', 'engine', 'coordinator', 'codec']) },
    { path: '^(node:)?(fs|fs/promises|net|tls|dgram|http|https|http2|worker_threads|child_process)$' },
  ),
  rule(
    'sqlite-stays-in-storage',
    { path: '^src/', pathNot: inside(['log', 'local-engine']) },
    { path: library(['better-sqlite3']) },
  ),
  rule(
    'fastify-stays-in-http',
    { path: '^src/', pathNot: inside(['http']) },
    { path: library(['fastify', '@fastify/[^/]+']) },
  ),
  rule(
    'kafka-client-stays-in-kafka-engine',
    { path: '^src/', pathNot: inside(['kafka-engine']) },
    { path: library(['@platformatic/kafka', 'kafkajs']) },
  ),
]

// Beside TypeScript 7 only the swc parser reads anything at all.
async function readImports(baseDir: string): Promise<ICruiseResult> {
  const options: ICruiseOptions = {
    baseDir,
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'] },
    validate: true,
    ruleSet: { forbidden: walls },
  }
  const { output } = await cruise(['src'], options)
  assert.ok(typeof output === 'object', 'cruise answers with its result, not with a rendering of it')
  return output
}

const violationsOf = (result: ICruiseResult) =>
  result.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`).sort()

test('every file of src imports from its own room and lower floors only', async () => {
  const files = globSync('src/**/*.ts', { cwd: root })
  const result = await readImports(root)
  const read = result.modules.filter(({ source }) => source.startsWith('src/'))
  assert.ok(files.length > 0)
  assert.equal(read.length, files.length, 'every source file is read')
  assert.ok(
    read.some(({ dependencies }) => dependencies.some(({ resolved }) => resolved.startsWith('src/'))),
    'imports are seen',
  )
  assert.deepEqual(violationsOf(result), [])
})

test('every folder of src has its place on a floor', () => {
  const folders = new Set(globSync('src/*/**/*.ts', { cwd: root }).map((file) => file.split('/')[1] ?? file))
  assert.deepEqual(
    [...folders].filter((folder) => !rooms.includes(folder)),
    [],
  )
  assert.deepEqual(globSync('src/*.ts', { cwd: root }), [], 'a file lives in a room')
  const inService = new Set(globSync('src/service/*/**/*.ts', { cwd: root }).map((file) => file.split('/')[2]))
  assert.deepEqual([...inService].sort(), serviceRooms.toSorted())
})

const lawful = [
  ['cli/serve.ts', '../app/app.ts'],
  ['cli/dump-log.ts', '../log/log.ts'],
  ['app/app.ts', '../http/server.ts'],
  ['http/server.ts', 'fastify'],
  ['service/produce/produce.ts', '../../engine/engine.ts'],
  ['service/tail/tail.ts', '../read/page.ts'],
  ['service/tail/tail.ts', '../caller.ts'],
  ['log/log.ts', 'better-sqlite3'],
  ['log/log.ts', 'node:fs'],
  ['client/client.ts', '../kernel/errors.ts'],
] as const

const planted = [
  ['kernel/errors.ts', '../record/record.ts', 'kernel-looks-down-only'],
  ['log/log.ts', '../coordinator/group.ts', 'log-looks-down-only'],
  ['local-engine/engine.ts', '../kafka-engine/engine.ts', 'local-engine-looks-down-only'],
  ['http/server.ts', '../wire/wire.ts', 'http-looks-down-only'],
  ['app/app.ts', '../cli/serve.ts', 'app-looks-down-only'],
  ['service/produce.ts', '../log/log.ts', 'engine-is-known-by-its-contract'],
  ['service/read/page.ts', '../tail/tail.ts', 'service-read-looks-down-only'],
  ['service/produce/produce.ts', '../groups/groups.ts', 'service-produce-looks-down-only'],
  ['service/caller.ts', './read/page.ts', 'service-files-are-below-its-rooms'],
  ['wire/wire.ts', '../service/produce.ts', 'wire-speaks-record-and-engine'],
  ['client/client.ts', '../service/produce.ts', 'client-stands-alone'],
  ['cli/topics.ts', '../service/produce.ts', 'cli-goes-through-client-and-app'],
  ['cli/topics.ts', '../log/log.ts', 'only-dump-log-reads-the-disk'],
  ['record/record.ts', 'node:fs', 'bytes-and-groups-do-no-io'],
  ['service/produce.ts', 'better-sqlite3', 'sqlite-stays-in-storage'],
  ['app/app.ts', 'fastify', 'fastify-stays-in-http'],
  ['local-engine/engine.ts', '@platformatic/kafka', 'kafka-client-stays-in-kafka-engine'],
] as const

test('a planted import across a wall is found, as a type and as a value', async (t) => {
  for (const importing of ['import type { it } from', 'import { it } from'] as const) {
    await t.test(importing, async (t) => {
      const found = await readTree(t, importing, [...lawful, ...planted])
      const expected = planted.map(([from, , name]) => `${name}: src/${from}`)
      for (const violation of expected) {
        assert.ok(
          found.some((line) => line.startsWith(`${violation} -> `)),
          `${violation} in ${found.join('\n')}`,
        )
      }
    })
  }
})

test('a planted cycle is found, and lawful imports are not', async (t) => {
  const importing = 'import type { it } from'
  assert.deepEqual(await readTree(t, importing, lawful), [])
  const cycle = [
    ['kernel/clock.ts', './errors.ts'],
    ['kernel/errors.ts', './clock.ts'],
  ] as const
  const found = await readTree(t, importing, cycle)
  assert.deepEqual(
    found.map((line) => line.split(':')[0]),
    ['no-cycle'],
  )
})

// Writes a tree in which each file imports what its lines say, and answers with the violations found in it.
async function readTree(
  t: { after(cleanUp: () => void): void },
  importing: string,
  lines: readonly (readonly [from: string, to: string, ...rest: string[]])[],
): Promise<string[]> {
  const baseDir = mkdtempSync(join(tmpdir(), 'tailrace-walls-'))
  t.after(() => rmSync(baseDir, { recursive: true, force: true }))
  const imports = new Map<string, string[]>()
  for (const [from, to] of lines) {
    imports.set(from, [...(imports.get(from) ?? []), to])
    if (to.startsWith('.')) {
      const target = join(dirname(from), to)
      imports.set(target, imports.get(target) ?? [])
    }
  }
  for (const [file, targets] of imports) {
    const path = join(baseDir, 'src', file)
    mkdirSync(dirname(path), { recursive: true })
    const body = targets.map((target, at) => `${importing.replace('it', `it as it${at}`)} '${target}'`)
    writeFileSync(path, [...body, `export const it = [${targets.map((_, at) => `it${at}`)}]`, ''].join('\n'))
  }
  return violationsOf(await readImports(baseDir))
}
