import assert from 'node:assert/strict'
import { test } from 'node:test'
import { READ_LANDMARKS_MAX } from '../../src/kernel/limits.ts'
import { ReadLandmarks } from '../../src/log/read-landmarks.ts'

test('an offset that a read has passed is found from the landmark before it, the end exactly', () => {
  const landmarks = new ReadLandmarks()
  landmarks.begin()
  landmarks.add(0, 100, 4_000)
  landmarks.add(0, 150, 8_000)
  landmarks.add(0, 170, 9_000)
  assert.equal(landmarks.find(0, 99), undefined)
  assert.equal(landmarks.find(0, 100)?.position, 4_000)
  assert.equal(landmarks.find(0, 149)?.position, 4_000)
  assert.equal(landmarks.find(0, 150)?.position, 8_000)
  assert.equal(landmarks.find(0, 170)?.position, 9_000)
  assert.equal(landmarks.find(0, 171), undefined, 'what lies behind the read is not known')
  assert.equal(landmarks.find(500, 149), undefined, 'nor is another segment')
})

test('what lies between two reads is not known', () => {
  const landmarks = new ReadLandmarks()
  for (const start of [0, 1_000]) {
    landmarks.begin()
    landmarks.add(0, start, start * 10)
    landmarks.add(0, start + 50, start * 10 + 500)
  }
  assert.equal(landmarks.find(0, 50)?.position, 500)
  assert.equal(landmarks.find(0, 500), undefined)
  assert.equal(landmarks.find(0, 1_049)?.position, 10_000)
})

test('keeps a bounded number, the oldest gives way', () => {
  const landmarks = new ReadLandmarks()
  for (let read = 0; read < READ_LANDMARKS_MAX; read++) {
    landmarks.begin()
    landmarks.add(0, read * 10, read * 100)
    landmarks.add(0, read * 10 + 10, read * 100 + 100)
  }
  assert.equal(landmarks.find(0, 5), undefined)
  assert.equal(landmarks.find(0, READ_LANDMARKS_MAX * 10 - 5)?.position, (READ_LANDMARKS_MAX - 1) * 100)
})
