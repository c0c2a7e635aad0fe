/**
 * The house rules that a compiler does not check: who may import whom, no circles, and who may read the clock.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const IMPORT = /(?:^|\n)\s*(?:import|export)\s(?:[^'";]*?from\s*)?'(\.[^']+)'|import\('(\.[^']+)'\)/g

/** Layers from the bottom up; a file may import from its own layer only where `sameLayer` says so. */
const FOUNDATION = new Set([
  'model',
  'errors',
  'telemetry',
  'wording',
  'reckoning',
  'secret',
  'series-key',
  'codec',
  'codec-bytes',
  'codec-columns',
  'codec-memory',
  'codec-series',
  'codec-v1',
])
const CARRIERS = new Set(['transport', 'store'])
const STAGES = new Set(['ingest', 'detect', 'correlate', 'notify', 'web', 'evaluate'])

/** `src/detect/series.ts` is of `detect`, `src/app.ts` of `app`. */
const partOf = (file: string) => relative('src', file).split('/')[0]!.replace(/\.ts$/, '')

function mayImport(from: string, to: string): boolean {
  if (from === to) return true
  if (FOUNDATION.has(from)) return FOUNDATION.has(to)
  if (CARRIERS.has(from)) return FOUNDATION.has(to)
  if (STAGES.has(from)) return FOUNDATION.has(to) || CARRIERS.has(to)
  return to !== 'cli'
}

const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join('src', name))
  .sort()
const imports = new Map(
  files.map((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    const targets = [...text.matchAll(IMPORT)].map((match) => normalize(join(dirname(file), (match[1] ?? match[2])!)))
    return [file, targets] as const
  }),
)

describe('the house', () => {
  it('has been looked at', () => {
    expect(files.length).toBeGreaterThan(40)
    expect([...imports.values()].flat().length).toBeGreaterThan(100)
  })

  it('has no arrow that points up or sideways', () => {
    const wrong = [...imports].flatMap(([file, targets]) =>
      targets.filter((target) => !mayImport(partOf(file), partOf(target))).map((target) => `${file} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('has no circles', () => {
    const done = new Set<string>()
    const circles: string[] = []
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '))
      if (path.includes(file) || done.has(file)) return
      for (const target of imports.get(file) ?? []) visit(target, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
    expect(circles).toEqual([])
  })

  it('reads the clock, the dice and the environment only at its edges', () => {
    const edges = new Set(['src/app.ts', 'src/config.ts'])
    const wrong = files
      .filter((file) => !edges.has(file) && !file.startsWith('src/web/client/'))
      .filter((file) => /\bDate\.now\b|\bMath\.random\b|\bprocess\.env\b|new Date\(\)/.test(readFileSync(join(root, file), 'utf8')))
    expect(wrong).toEqual([])
  })

  it('has no drawers for odds and ends', () => {
    expect(files.filter((file) => /(^|\/)(utils?|helpers?|common|types|index)(\.ts$|\/)/.test(file))).toEqual([])
  })
})
