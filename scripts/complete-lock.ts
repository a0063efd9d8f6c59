// `npm run lock`: writes package-lock.json anew and completes it. When a registry or mirror can't give the package of
// another platform (it often lags there), npm leaves it out of the lock file without a word, and npm 11 then refuses
// `npm ci` everywhere with "Missing: ... from lock file". Such an entry is written here with its version and platform
// and without the checksum that nobody could give.

import { readFileSync, writeFileSync } from 'node:fs'

interface LockedPackage {
  version?: string
  dev?: boolean
  optional?: boolean
  cpu?: string[]
  os?: string[]
  optionalDependencies?: Record<string, string>
}

const lockFile = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(lockFile, 'utf8')) as { packages: Record<string, LockedPackage> }

for (const [path, parent] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    if (`node_modules/${name}` in lock.packages || `${path}/node_modules/${name}` in lock.packages) continue
    lock.packages[`node_modules/${name}`] = {
      version: exact(name, version),
      ...platformOf(name),
      ...(parent.dev === true ? { dev: true } : {}),
      optional: true,
    }
    process.stderr.write(`completed ${name}@${version}\n`)
  }
}
const paths = Object.keys(lock.packages).sort((a, b) => a.localeCompare(b, 'en'))
lock.packages = Object.fromEntries(paths.map((path) => [path, lock.packages[path] ?? {}]))
writeFileSync(lockFile, `${JSON.stringify(lock, null, 2)}\n`)

function exact(name: string, version: string): string {
  if (/^\d+\.\d+\.\d+[\w.-]*$/.test(version)) return version
  throw new Error(`${name} is missing from the lock file, and its range ${version} does not say which version to write`)
}

// Platform packages carry their platform in their name: @swc/core-linux-arm-gnueabihf, @biomejs/cli-win32-x64.
function platformOf(name: string): { cpu: string[]; os: string[] } {
  const os = /-(aix|android|darwin|freebsd|linux|openharmony|sunos|win32)\b/.exec(name)?.[1]
  const cpu = /-(arm64|arm|ia32|ppc64|riscv64|s390x|x64)\b/.exec(name)?.[1]
  if (os !== undefined && cpu !== undefined) return { cpu: [cpu], os: [os] }
  throw new Error(`${name} is missing from the lock file, and its name does not say which platform it is for`)
}
