/** The scanner of JSON fields takes what JSON.parse takes, refuses what it refuses, and finds the same in it. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JsonFields, JsonKind, NameTable } from '../../src/ingest/wire/json-fields.ts'

const NAMES = ['msg', 'level', 'a', '', '__proto__', 'trace_id', 'ünï', 'message', 'MESSAGE', 'log']
const fields = new JsonFields(NAMES)

/** What JSON.parse says of a text, if it is an object and nothing else. */
function parsed(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith('{') || !text.endsWith('}')) return undefined
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch (error) {
    expect(error).toBeInstanceOf(SyntaxError)
    return undefined
  }
}

function agree(text: string): void {
  // Lone surrogates do not survive being bytes; what is compared is what both sides can see.
  const bytes = Buffer.from(text)
  const seen = bytes.toString('utf8')
  const expected = parsed(seen)
  // The bytes stand in the middle of others, which must not be looked at.
  const around = Buffer.concat([Buffer.from('"}'), bytes, Buffer.from(',"}0123')])
  expect([seen, fields.scan(around, 2, 2 + bytes.length)]).toEqual([seen, expected !== undefined])
  if (expected === undefined) return
  for (const [slot, name] of NAMES.entries()) {
    const has = Object.hasOwn(expected, name)
    expect([seen, name, fields.has(slot)]).toEqual([seen, name, has && name !== ''])
    if (!has || name === '') continue
    const value = expected[name]
    expect([fields.text(slot, around), fields.number(slot, around)]).toEqual([
      typeof value === 'string' ? value : undefined,
      typeof value === 'number' ? value : undefined,
    ])
    if (typeof value !== 'object' || value === null) continue
    expect(fields.kind[slot]).toBe(Array.isArray(value) ? JsonKind.array : JsonKind.object)
    expect(JSON.parse(around.toString('utf8', fields.from[slot], fields.to[slot]))).toEqual(value)
  }
}

describe('the scanner of JSON fields', () => {
  it.each([
    '{}',
    '{ }',
    '{"msg":"x"}',
    ' {"msg":"x"}',
    '{"msg":"x"} ',
    '{"msg":"x"}}',
    '{"msg":"x",}',
    '{"msg":"x" "a":1}',
    '{"msg" : "x" , "a":\t1\r\n}',
    '{,}',
    '{"msg"}',
    '{"msg":}',
    '{msg:1}',
    '{"msg":"x","msg":5}',
    '{"\\u006dsg":"x"}',
    '{"msg":"a\\"b\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00"}',
    '{"msg":"\\x"}',
    '{"msg":"\\u12"}',
    '{"msg":"\\u12g4"}',
    '{"msg":"a\nb"}',
    '{"msg":"a\tb"}',
    '{"msg":"\\ud800"}',
    '{"msg":"ü😀"}',
    '{"ünï":"x"}',
    '{"a":[1,2,{"b":[]}],"msg":{"level":"x","deep":[[[{}]]]}}',
    '{"a":[1,2',
    '{"a":[1,]}',
    '{"a":[,1]}',
    '{"a":{"b":1,}}',
    '{"a":{"b"}}',
    '{"a":[}',
    '{"a":{]}',
    '{"a":[1}]',
    '{"a":true,"msg":false,"level":null}',
    '{"a":tru}',
    '{"a":nul',
    '{"a":truex}',
    '{"a":undefined}',
    ...['0', '-0', '1', '-1', '12.5', '1e5', '1E+5', '1e-5', '0.5', '1e400', '123456789012345678901'].map((n) => `{"a":${n}}`),
    ...['01', '-', '+1', '.5', '1.', '1e', '1e+', '0x1', 'NaN', 'Infinity', '--1', '1.e5', '-a'].map((n) => `{"a":${n}}`),
    '{"__proto__":{"a":1}}',
    '{"__proto__":"x"}',
    '{"":"empty"}',
    '{"a',
    '{"a"',
    '{"a":',
    '{"a":"}',
    '{',
    '}',
    '',
    '{"a":1\u00a0}',
    '\ufeff{}',
  ])('reads %j as JSON.parse does', (text) => agree(text))

  it('is not afraid of depth', () => {
    const nested = (open: number, closed: number) => Buffer.from(`{"a":${'['.repeat(open)}${']'.repeat(closed)}}`)
    expect(fields.scan(nested(20_000, 20_000), 0, 40_006)).toBe(true)
    expect(fields.scan(nested(20_000, 19_999), 0, 40_005)).toBe(false)
  })

  const key = fc.oneof(fc.constantFrom(...NAMES), fc.string({ maxLength: 6 }))
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 8 }),
        fc.string({ unit: 'grapheme' }),
        fc.double(),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
      ),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    ),
  }))
  const object = fc.tuple(fc.dictionary(key, value, { maxKeys: 6 }), fc.constantFrom(undefined, 1, '\t'))

  it('reads any object', () => {
    fc.assert(
      fc.property(object, ([one, space]) => agree(JSON.stringify(one, null, space))),
      { numRuns: 2_000 },
    )
  })

  it('reads what is nearly an object', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '\\',
      'u00',
      'e',
      '-',
      '.',
      '0',
      '1',
      't',
      'null',
      ' ',
      '\n',
      '\0',
      'é',
    )
    const edit = fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.oneof(piece, fc.constant('')))
    fc.assert(
      fc.property(object, fc.array(edit, { minLength: 1, maxLength: 4 }), ([one, space], edits) => {
        let text = JSON.stringify(one, null, space)
        for (const [at, removed, inserted] of edits) {
          const from = at % (text.length + 1)
          text = text.slice(0, from) + inserted + text.slice(from + removed)
        }
        agree(text)
      }),
      { numRuns: 6_000 },
    )
  })

  it('reads bytes of any kind', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (noise) => {
        const bytes = Buffer.concat([Buffer.from('{"msg":"'), noise, Buffer.from('"}')])
        const expected = parsed(bytes.toString('utf8'))
        expect(fields.scan(bytes, 0, bytes.length)).toBe(expected !== undefined)
        if (expected !== undefined && typeof expected['msg'] === 'string') expect(fields.text(0, bytes)).toBe(expected['msg'])
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('a table of names', () => {
  it('finds each of its names and nothing else', () => {
    const names = ['a', 'b', 'ab', 'ba', 'level', 'lvl', 'severity', 'trace_id', 'traceId', 'traceID', 'traceid']
    const table = new NameTable(names)
    for (const [slot, name] of names.entries()) expect(table.slotOf(Buffer.from(`x${name}y`), 1, 1 + name.length)).toBe(slot)
    for (const other of ['', 'c', 'aa', 'levels', 'leve', 'Level', 'tracE_id'])
      expect(table.slotOf(Buffer.from(other), 0, other.length)).toBe(-1)
  })

  it('holds no more names than it can number', () => {
    expect(() => new NameTable(Array.from({ length: 128 }, (_, i) => `n${i}`))).toThrow('the limit is 127')
  })
})
