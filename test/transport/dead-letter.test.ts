/** What is put aside can be told apart and found again: who reads dead letters gets back what was put in. */
import { describe, expect, it } from 'vitest'
import { deadBatch, deadLetter, readDeadLetter, withoutValue } from '../../src/transport/dead-letter.ts'
import type { InRecord, OutRecord } from '../../src/transport/transport.ts'

const value = new TextEncoder().encode('not what it says')
const stored = ({ value: bytes, headers }: OutRecord): InRecord => ({
  offset: 3,
  key: '',
  timestampMs: 1000,
  value: bytes,
  headers: headers ?? {},
})

describe('a record', () => {
  const record = { offset: 41, key: 'the key', timestampMs: 5, value, headers: { 'content-type': 'text/plain', 'x-content': 'own' } }
  const batch = { topic: 'otlp_logs', partition: 2, records: [record] }

  it('comes back as it was, with the reason and its origin', () => {
    expect(readDeadLetter(stored(deadLetter(batch, record, 'malformed', 'tag 9 at byte 3')))).toEqual({
      reason: 'malformed',
      error: 'tag 9 at byte 3',
      topic: 'otlp_logs',
      partition: 2,
      offset: 41,
      lastOffset: 41,
      key: 'the key',
      content: 'record',
      headers: { 'content-type': 'text/plain', 'x-content': 'own' },
      value,
      originMs: 5,
      timestampMs: 1000,
    })
  })

  it('that is too large for the topic comes back without its value, and says so', () => {
    expect(readDeadLetter(stored(withoutValue(deadLetter(batch, record, 'malformed', 'no'))))).toMatchObject({
      content: 'left-out',
      error: 'no; its 16 bytes do not fit in here',
      offset: 41,
      value: new Uint8Array(0),
    })
  })

  it('an error as long as a body is cut', () => {
    expect(deadLetter(batch, record, 'malformed', 'x'.repeat(5000)).headers!['x-error']).toHaveLength(1000)
  })

  it.each([
    { name: 'no headers of ours', headers: {} },
    { name: 'no origin', headers: { 'x-error-reason': 'malformed' } },
    {
      name: 'an offset that is none',
      headers: { 'x-error-reason': 'malformed', 'x-origin-topic': 't', 'x-origin-partition': '0', 'x-origin-offset': '-1' },
    },
  ])('$name: not one of ours', ({ headers }) => {
    expect(readDeadLetter({ ...record, headers })).toBeUndefined()
  })
})

describe('a batch that no codec could unpack', () => {
  const unread = { topic: 'otlp_spans', partition: 1, firstOffset: 7, lastOffset: 12, records: 4, reason: 'not an lz4 frame', bytes: value }

  it('keeps its bytes and its offsets', () => {
    expect(readDeadLetter(stored(deadBatch(unread, 1000)))).toMatchObject({
      reason: 'undecodable_batch',
      error: 'not an lz4 frame',
      topic: 'otlp_spans',
      partition: 1,
      offset: 7,
      lastOffset: 12,
      content: 'record-batch',
      headers: {},
      value,
    })
  })

  it('one that is too large leaves its bytes where it was, and says so', () => {
    const read = readDeadLetter(stored(deadBatch(unread, 10)))
    expect(read).toMatchObject({ content: 'left-out', error: 'not an lz4 frame; its 16 bytes do not fit in here' })
    expect(read!.value).toHaveLength(0)
  })
})
