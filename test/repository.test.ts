// Cheap guards over what is committed.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..')
const isCheckout = existsSync(join(root, '.git'))

interface LockedPackage {
  resolved?: string
  optionalDependencies?: Record<string, string>
}

/** Of the project, and of the clients that tests drive. */
const LOCKS = ['package-lock.json', 'test/clients/package-lock.json']

for (const lock of LOCKS) {
  const { packages } = JSON.parse(readFileSync(join(root, lock), 'utf8')) as { packages: Record<string, LockedPackage> }

  test(`${lock} names no registry, so that any mirror can serve it`, () => {
    const named = Object.entries(packages).filter(([, { resolved }]) => resolved?.startsWith('http'))
    assert.ok(Object.keys(packages).length > 50)
    assert.deepEqual(named, [])
  })

  test(`${lock} knows the packages of every platform (else: npm run lock)`, () => {
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) => !(`node_modules/${name}` in packages || `${path}/node_modules/${name}` in packages),
      ),
    )
    assert.deepEqual(missing, [])
  })
}

test('no committed file holds a path of the machine it was made on', { skip: !isCheckout }, () => {
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean)
  assert.ok(files.length > 0)
  const machinePath = /(?<![\w.:/-])\/(Users|work|farm)\/\w/
  const holding = files.filter(
    (file) => existsSync(join(root, file)) && machinePath.test(readFileSync(join(root, file), 'latin1')),
  )
  assert.deepEqual(holding, [])
})
