import { describe, expect, it } from 'vitest'
import { limitsConfig } from '../../src/ingest/config.ts'
import { SeriesRegistry } from '../../src/ingest/metrics/series-registry.ts'
import type { SeriesEntry } from '../../src/ingest/metrics/series-registry.ts'

const limits = (settings: Record<string, number> = {}) => limitsConfig.parse(settings)
const view = (text: string) => new DataView(new TextEncoder().encode(text).buffer)
const series = (key: string, service = 's') => ({ key, name: key, type: 'unknown' as const, labels: [], service, instance: '' })

function find(registry: SeriesRegistry, text: string): SeriesEntry | undefined {
  const bytes = view(text)
  return registry.find(bytes, 0, bytes.byteLength)
}

function learn(registry: SeriesRegistry, text: string, nowMs = 0, key = text): SeriesEntry {
  const entry = registry.admit(series(key), nowMs)
  if (typeof entry === 'string') throw new Error(entry)
  const bytes = view(text)
  registry.remember(entry, bytes, 0, bytes.byteLength)
  return entry
}

describe('the series registry', () => {
  it('knows a series by the bytes of its labels, of any length and at any place', () => {
    const registry = new SeriesRegistry(limits())
    const texts = ['', 'a', 'ab', 'abc', 'abcd', 'abcde', 'abcdx', 'abcd\0', 'a'.repeat(101), 'a'.repeat(102)]
    const entries = texts.map((text) => learn(registry, text))
    for (const order of [texts, [...texts].reverse(), texts])
      for (const text of order) expect(find(registry, text)).toBe(entries[texts.indexOf(text)])
    expect(find(registry, 'abcdf')).toBeUndefined()
    const shifted = view('xxxabcdeyyy')
    expect(registry.find(shifted, 3, 8)).toBe(entries[texts.indexOf('abcde')])
  })

  it('is not misled by the order it predicts', () => {
    const registry = new SeriesRegistry(limits())
    const [a, b, c] = ['one', 'two', 'six'].map((text) => learn(registry, text))
    for (const [text, entry] of [
      ['one', a],
      ['two', b],
      ['six', c],
      ['one', a],
      ['six', c],
      ['two', b],
      ['two', b],
      ['one', a],
    ] as const)
      expect(find(registry, text)).toBe(entry)
  })

  it('keeps a few byte orders of one series, not all there can be', () => {
    const registry = new SeriesRegistry(limits())
    const texts = Array.from({ length: 20 }, (_, i) => `order ${i}`)
    for (const text of texts) learn(registry, text, 0, 'the same')
    expect(texts.filter((text) => find(registry, text) !== undefined)).toHaveLength(4)
    expect(registry.size).toBe(1)
  })

  it('forgets what is idle and makes room', () => {
    const registry = new SeriesRegistry(limits({ maxSeries: 2, seriesIdleMs: 100 }))
    learn(registry, 'old', 0)
    learn(registry, 'new', 50)
    expect(registry.admit(series('third'), 60)).toBe('series-limit')
    registry.forgetIdle(101)
    expect(find(registry, 'old')).toBeUndefined()
    expect(find(registry, 'new')).toBeDefined()
    expect(registry.admit(series('third'), 102)).toMatchObject({ series: { key: 'third' } })
  })

  it('a forgotten series is a new one when it comes back', () => {
    const registry = new SeriesRegistry(limits({ seriesIdleMs: 100 }))
    const first = learn(registry, 'a', 0)
    learn(registry, 'b', 0)
    find(registry, 'a')
    registry.forgetIdle(1_000)
    expect([find(registry, 'a'), find(registry, 'b')]).toEqual([undefined, undefined])
    expect(learn(registry, 'a', 1_000)).not.toBe(first)
  })

  it('bounds the series of each service on its own', () => {
    const registry = new SeriesRegistry(limits({ maxSeriesPerService: 1 }))
    expect(registry.admit(series('a', 'x'), 0)).toMatchObject({})
    expect(registry.admit(series('b', 'x'), 0)).toBe('service-series-limit')
    expect(registry.admit(series('b', 'y'), 0)).toMatchObject({ series: { service: 'y' } })
    expect(registry.admit(series('a', 'x'), 0)).toMatchObject({ series: { key: 'a' } })
  })
})
