/** What somebody called wrong, in the two ways it can be written down. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { labelsByName, readLabels, stretchesIn } from '../../src/evaluate/labels.ts'

let folder: string
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'tocsin-labels-'))))
afterAll(() => rmSync(folder, { recursive: true }))

function read(content: string) {
  const file = join(folder, 'labels')
  writeFileSync(file, content)
  return readLabels(file)
}

const stretch = [Date.UTC(2026, 10, 23, 10), Date.UTC(2026, 10, 23, 11)] as const

describe('written', () => {
  test.each([
    ['as NAB writes them', '{"cpu.csv": [["2026-11-23 10:00:00.000000", "2026-11-23 11:00:00.000000"]], "disk.csv": []}'],
    ['as CSV', 'cpu.csv,2026-11-23T10:00:00Z,2026-11-23T11:00:00Z\n'],
    ['with a header, a remark and empty lines', 'file,start,end\n\n# the disk\ncpu.csv,1795428000,1795431600\n'],
  ])('%s', (_, content) => expect(read(content).map((label) => [label.name, label.stretch])).toEqual([['cpu.csv', stretch]]))

  test.each([
    ['two columns', 'cpu.csv,2026-11-23\n', 'labels, line 1: needs what it is about, start and end: "cpu.csv,2026-11-23"'],
    ['a time that is none', 'a,1,2\ncpu.csv,noon,2026-11-23\n', 'labels, line 2: "noon" is no time'],
    ['the end before the start', 'cpu.csv,2026-11-24,2026-11-23\n', 'labels, line 1: ends before it starts'],
    ['half a file of JSON', '{"cpu.csv": [["2026', 'labels is not JSON'],
    ['JSON of another shape', '{"cpu.csv": "yes"}', 'labels, "cpu.csv": needs a list of [start, end]'],
    ['a window with one end', '{"cpu.csv": [["2026-11-23"]]}', 'labels, "cpu.csv", number 1: is no [start, end]'],
  ])('refused with its place: %s', (_, content, message) => expect(() => read(content)).toThrow(message))

  test('names are only names', () => {
    const labels = read('{"__proto__": [["2026-11-23 10:00", "2026-11-23 11:00"]]}')
    expect(labels.map((label) => label.name)).toEqual(['__proto__'])
    expect(() => labelsByName(labels, ['cpu.csv'])).toThrow('there is no "__proto__" in the data; there is cpu.csv')
  })
})

describe('what they are about', () => {
  const names = ['web/cpu.csv', 'db/cpu.csv', 'db/disk.csv.gz']
  const about = (name: string) => read(`${name},2026-11-23T10:00:00Z,2026-11-23T11:00:00Z\n`)

  test.each([
    ['db/disk.csv.gz', 'db/disk.csv.gz'],
    ['db/disk', 'db/disk.csv.gz'],
    ['disk.csv', 'db/disk.csv.gz'],
  ])('%s is %s', (name, meant) => expect(labelsByName(about(name), names).get(meant)).toHaveLength(1))

  test('a name that may be two is refused', () =>
    expect(() => labelsByName(about('cpu.csv'), names)).toThrow('labels, line 1: "cpu.csv" may be web/cpu.csv, db/cpu.csv: write which'))

  test('they come in order of time', () => {
    const labels = read('a,2026-11-24,2026-11-25\na,2026-11-23T10:00:00Z,2026-11-23T11:00:00Z\n')
    expect(stretchesIn(labels, 'a', [0, 9e12])[0]).toEqual(stretch)
  })

  test('refused is what lies outside of the data, which mostly is the wrong zone', () =>
    expect(() => stretchesIn(about('db/disk'), 'db/disk.csv.gz', [0, 1000])).toThrow(
      'labels, line 1: 2026-11-23T10:00:00.000Z to 2026-11-23T11:00:00.000Z lies outside of db/disk.csv.gz, which goes from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z',
    ))
})
