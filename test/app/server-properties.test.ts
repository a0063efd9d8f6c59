import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseServerProperties } from '../../src/app/server-properties.ts'

const pairs = (text: string) => parseServerProperties(text).map(({ name, value }) => [name, value])

test('takes =, : or a blank between name and value, with blanks around it', () => {
  const text = 'a=1\nb:2\nc 3\n d = 4\ne : 5\nf\t6\ng=\nh\ni = = 7\nj  :k'
  assert.deepEqual(pairs(text), [
    ['a', '1'],
    ['b', '2'],
    ['c', '3'],
    ['d', '4'],
    ['e', '5'],
    ['f', '6'],
    ['g', ''],
    ['h', ''],
    ['i', '= 7'],
    ['j', 'k'],
  ])
})

test('passes over comments and blank lines, whatever ends them', () => {
  assert.deepEqual(pairs('# a=1\r\n  ! b=2\r\n\r\n \t\f\rc=3 # no comment\n#d \\\ne=4'), [
    ['c', '3 # no comment'],
    ['e', '4'],
  ])
})

test('goes on with the next line after a backslash, and only after an odd number of them', () => {
  assert.deepEqual(pairs('a=1,\\\n   2,\\\r\n#3\nb=4\\\\\nc=5\nd=6\\'), [
    ['a', '1,2,#3'],
    ['b', '4\\'],
    ['c', '5'],
    ['d', '6'],
  ])
})

test('undoes escapes in names and values', () => {
  assert.deepEqual(pairs('a\\=b\\ c\\:d=\\u00e9\\t\\n\\\\x\\z\nC\\:\\\\dir = C:\\\\data'), [
    ['a=b c:d', 'é\t\n\\xz'],
    ['C:\\dir', 'C:\\data'],
  ])
})

test('tells the line on which each property begins, and keeps what comes twice', () => {
  assert.deepEqual(parseServerProperties('\uFEFFa=1\\\n2\n\n# x\nb=3\na=4'), [
    { name: 'a', value: '12', line: 1 },
    { name: 'b', value: '3', line: 5 },
    { name: 'a', value: '4', line: 6 },
  ])
})

test('gives back what was written with its special characters escaped', () => {
  const escaped = (text: string) =>
    text.replace(/[\\=:#! \t\n\r\f]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const text = fc
    .string({ unit: 'binary', minLength: 1 })
    .filter((each) => each.trimEnd() === each && each !== '' && !each.startsWith('\uFEFF'))
  fc.assert(
    fc.property(text, text, (name, value) => {
      assert.deepEqual(pairs(`${escaped(name)} = ${escaped(value)}`), [[name, value]])
    }),
  )
})
