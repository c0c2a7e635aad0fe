/** Files of somebody's history, as people have them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { historyNames, readHistory, timeOf } from '../../src/evaluate/history.ts'

let folder: string
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'tocsin-history-'))))
afterAll(() => rmSync(folder, { recursive: true }))

const T = Date.UTC(2026, 10, 23, 10)

describe('a time', () => {
  test.each<[string, number | undefined]>([
    ['2026-11-23T10:00:00Z', T],
    ['2026-11-23T11:00:00+01:00', T],
    ['2026-11-23T10:00:00.000000Z', T],
    ['2026-11-23 10:00:00', T],
    ['2026-11-23 10:00', T],
    ['2026-11-23', Date.UTC(2026, 10, 23)],
    [String(T / 1000), T],
    [String(T), T],
    [`${T / 1000}.5`, T + 500],
    ['23.11.2026', undefined],
    ['-5', undefined],
    ['9999999999999999999', undefined],
    ['2026-13-45', undefined],
    ['', undefined],
  ])('%s', (text, timeMs) => expect(timeOf(text)).toBe(timeMs))
})

describe('a file', () => {
  const seconds = T / 1000
  test.each<[string, string | Buffer, number[], number[]]>([
    ['with a header', `timestamp,value\n${seconds},1\n${seconds + 60},2\n`, [T, T + 60_000], [1, 2]],
    ['without one', `${seconds},1\n${seconds + 60},2\n`, [T, T + 60_000], [1, 2]],
    ['quoted, with Windows line ends and a mark of its encoding', `\uFEFF"Time","Value"\r\n"2026-11-23T10:00:00Z","1"\r\n`, [T], [1]],
    ['with more columns than are needed', `${seconds},1,0,ok\n`, [T], [1]],
    ['newest first', `${seconds + 60},2\n${seconds},1\n`, [T, T + 60_000], [1, 2]],
    ['with rows that were not measured', `${seconds},\n${seconds + 60},NaN\n${seconds + 120},3\n`, [T + 120_000], [3]],
    ['compressed', gzipSync(`${seconds},1e3\n`), [T], [1000]],
  ])('%s', (_, content, timeMs, value) => {
    writeFileSync(join(folder, 'one.csv'), content)
    const read = readHistory(folder, 'one.csv')
    expect([...read.timeMs]).toEqual(timeMs)
    expect([...read.value]).toEqual(value)
  })

  test.each<[string, string, string]>([
    ['a time that is none', `${seconds},1\nyesterday,2\n`, 'two.csv, line 2: "yesterday" is no time: write 2026-11-23T10:00:00Z, seconds'],
    ['a value that is none', `t,v\n${seconds},1\n\n${seconds},many\n`, 'two.csv, line 4: "many" is no number'],
    ['a value beyond all numbers', `${seconds},1e309\n`, 'two.csv, line 1: "1e309" is no number'],
    ['one column', `timestamp\n${seconds}\n`, 'two.csv, line 1: needs a timestamp and a value with a comma between them: "timestamp"'],
    ['a second header', `t,v\nt,v\n`, 'two.csv, line 2: "t" is no time'],
    ['nothing in it', 't,v\n', 'two.csv holds no row with a value'],
  ])('refused with its line: %s', (_, content, message) => {
    writeFileSync(join(folder, 'two.csv'), content)
    expect(() => readHistory(folder, 'two.csv')).toThrow(message)
  })

  test('a gzip that ends too early is refused by name', () => {
    writeFileSync(join(folder, 'cut.csv.gz'), gzipSync(`${seconds},1\n`.repeat(100)).subarray(0, 30))
    expect(() => readHistory(folder, 'cut.csv.gz')).toThrow('cut.csv.gz cannot be read: unexpected end of file')
  })
})

describe('a folder', () => {
  test('is looked at to its ground', () => {
    const root = join(folder, 'deep')
    mkdirSync(join(root, 'b'), { recursive: true })
    for (const name of ['a.csv', 'b/c.csv.gz', 'notes.txt']) writeFileSync(join(root, name), '')
    expect(historyNames(root)).toEqual(['a.csv', 'b/c.csv.gz'])
  })

  test.each([
    ['nowhere', 'cannot be read: ENOENT'],
    ['empty', 'holds neither CSV files nor a recording'],
    ['file.txt', 'is a file: give the folder it lies in'],
  ])('refused: %s', (name, message) => {
    mkdirSync(join(folder, 'empty'), { recursive: true })
    writeFileSync(join(folder, 'file.txt'), '')
    expect(() => historyNames(join(folder, name))).toThrow(message)
  })
})
