import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SipHash } from '../../src/kernel/siphash.ts'

/** The reference key and input: bytes that count up from 0. Hashes by length of input, as OpenSSL 3 gives them (`openssl mac`). */
const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
const HASHES = new Map([
  [0, 'a3817f04ba25a8e66df67214c7550293'],
  [1, 'da87c1d86b99af44347659119b22fc45'],
  [2, '8177228da4a45dc7fca38bdef60affe4'],
  [3, '9c70b60c5267a94e5f33b6b02985ed51'],
  [4, 'f88164c12d9c8faf7d0f6e7c7bcd5579'],
  [5, '1368875980776f8854527a07690e9627'],
  [6, '14eeca338b208613485ea0308fd7a15e'],
  [7, 'a1f1ebbed8dbc153c0b84aa61ff08239'],
  [8, '3b62a9ba6258f5610f83e264f31497b4'],
  [9, '264499060ad9baabc47f8b02bb6d71ed'],
  [15, '5493e99933b0a8117e08ec0f97cfc3d9'],
  [16, '6ee2a4ca67b054bbfd3315bf85230577'],
  [17, '473d06e8738db89854c066c47ae47740'],
  [31, '2939b0183223fafc1723de4f52c43d35'],
  [63, '5150d1772f50834a503e069a973fbd7c'],
  [255, '1c9bb67528165f8e468248e3799b0eab'],
])

test('hashes as the reference implementation does, wherever the bytes lie', () => {
  const hasher = new SipHash(KEY)
  for (const [length, expected] of HASHES) {
    for (const start of [0, 1, 7]) {
      const bytes = Buffer.alloc(start + length + 3, 0xff)
      for (let at = 0; at < length; at++) bytes[start + at] = at
      hasher.hash(bytes, start, start + length)
      assert.equal(Buffer.from(hasher.words.buffer).toString('hex'), expected, `${length} bytes from ${start} on`)
    }
  }
})

test('another key gives other hashes', () => {
  const hashOf = (key: Buffer) => {
    const hasher = new SipHash(key)
    hasher.hash(Buffer.from('key'), 0, 3)
    return [...hasher.words]
  }
  for (let at = 0; at < KEY.length; at++) {
    const other = Buffer.from(KEY)
    other[at] = 0x80
    const words = hashOf(other)
    for (const [word, value] of hashOf(KEY).entries()) assert.notEqual(words[word], value)
  }
})
