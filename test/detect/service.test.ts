import { describe, expect, test } from 'vitest'
import type { Anomaly, Finding } from '../../src/model.ts'
import { Episodes } from '../../src/detect/episode.ts'
import { loadModels } from '../../src/detect/service/model-files.ts'
import { FEATURES, ResidualBoard, type Feature } from '../../src/detect/residuals.ts'
import { serviceDetector } from '../../src/detect/service/service.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'
import { syntheticResiduals } from '../../src/detect/service/synthetic-residuals.ts'
import type { Detector, DetectorContext, VectorSink } from '../../src/detect/detector.ts'

const WIDTH = FEATURES.length
const MINUTE = 60_000
const models = loadModels({ off: [], detectors: { service: { model: 'service' } } }, { info: () => undefined } as never)

interface Bench {
  readonly board: ResidualBoard
  readonly detector: Detector
  readonly found: Finding[]
  /** One window: what the services did in it, then its closing tick. */
  readonly minute: (at: number, services: Readonly<Record<string, Partial<Record<Feature, number>>>>, ticksMs?: readonly number[]) => void
}

function bench(config: Record<string, unknown> = {}, vectors?: VectorSink): Bench {
  const board = new ResidualBoard()
  const context: DetectorContext = { partition: 0, residuals: board, models, ...(vectors && { vectors }) }
  const detector = serviceDetector.create(serviceDetector.config.parse(config), context)
  const found: Finding[] = []
  return {
    board,
    detector,
    found,
    minute(at, services, ticksMs = [MINUTE]) {
      for (const [service, residuals] of Object.entries(services)) {
        for (const [feature, z] of Object.entries(residuals)) board.observe(service, feature as Feature, z)
      }
      for (const tickMs of ticksMs) detector.detect({ kind: 'tick', nowMs: at * MINUTE + tickMs }, (finding) => found.push(finding))
    },
  }
}

const healthyRows = syntheticResiduals(400, 21)
/** What a healthy service does in that minute, without its surges. */
function healthy(minute: number): Partial<Record<Feature, number>> {
  const from = (minute % 400) * WIDTH
  return Object.fromEntries(FEATURES.map((feature, i) => [feature, Math.max(-3, Math.min(3, healthyRows[from + i]! || 0.2))]))
}

const anomalies = (found: readonly Finding[]): Anomaly[] => found.filter((finding) => finding.kind === 'anomaly')

describe('the service detector', () => {
  test('quiet → CPU up alone → quiet: one anomaly that names CPU, opens, ends and never pages', () => {
    const { minute, found } = bench()
    for (let at = 0; at < 120; at++) {
      minute(at, { shop: at >= 60 && at < 75 ? { ...healthy(at), cpu: 30, traffic: -4 } : healthy(at), other: healthy(at + 200) })
    }
    const told = anomalies(found)
    expect(new Set(told.map((anomaly) => anomaly.id)).size).toBe(1)
    const [opened] = told
    const ended = told.at(-1)!
    expect(opened).toMatchObject({
      detector: 'service',
      service: 'shop',
      signal: 'mixed',
      symptom: 'other',
      direction: 'up',
      impact: false,
      endMs: undefined,
    })
    expect(opened!.startMs).toBeGreaterThanOrEqual(61 * MINUTE)
    expect(opened!.startMs).toBeLessThanOrEqual(63 * MINUTE)
    expect(opened!.score).toBeGreaterThanOrEqual(1)
    expect(opened!.observed).toBeGreaterThan(opened!.points.high.at(-1)!)
    expect(opened!.evidence[0]).toMatch(/do not fit together/)
    expect(opened!.evidence[1]).toMatch(
      /^cpu: \+30\.0 deviations from its baseline where the rest suggests [+−]\d+\.\d \(\d+ % of the error\)\.$/,
    )
    expect(ended.endMs).toBeGreaterThan(75 * MINUTE)
    expect(ended.endMs).toBeLessThan(85 * MINUTE)
    expect(ended.evidence[1], 'the end still tells of the worst moment').toMatch(/^cpu: /)
  })

  test('a surge that everything follows is no anomaly', () => {
    const { minute, found } = bench()
    for (let at = 0; at < 90; at++) {
      const surge = {
        traffic: 9,
        network: 9,
        cpu: 8.5,
        log_volume: 8,
        saturation: 5,
        runtime: 5.5,
        pool: 4.5,
        queue: 3.5,
        latency: 3,
        disk: 4,
        memory: 3,
      }
      minute(at, { shop: at >= 60 && at < 65 ? { ...healthy(at), ...surge } : healthy(at) })
    }
    expect(found).toEqual([])
  })

  test('nothing is said before a service is warm, however bad it looks', () => {
    const { minute, found } = bench({ warmUpWindows: 40 })
    for (let at = 0; at < 40; at++) minute(at, { shop: { cpu: 40, traffic: -40, errors: 40, memory: -30 } })
    expect(found).toEqual([])
  })

  test('a service that always looks odd gets a threshold of its own, within bounds', () => {
    const { minute, found } = bench()
    for (let at = 0; at < 300; at++) minute(at, { odd: { ...healthy(at), memory: 20 } })
    expect(anomalies(found)).toEqual([])
  })

  test('how often the board is read inside a window changes nothing', () => {
    const [often, once] = [bench(), bench()]
    for (const { minute } of [often, once]) minute(0, {}, [0])
    for (let at = 0; at < 100; at++) {
      const residuals = at >= 60 ? { ...healthy(at), cpu: 35 } : healthy(at)
      often.minute(at, { shop: residuals }, [10_000, 20_000, 45_000, MINUTE])
      once.minute(at, { shop: residuals })
    }
    expect(once.found.length).toBeGreaterThan(0)
    expect(often.found).toEqual(once.found)
  })

  test('a service that falls silent does not keep its anomaly open, and is forgotten in time', () => {
    const { minute, found, detector } = bench({ forgetAfterMs: 30 * MINUTE })
    for (let at = 0; at < 65; at++) minute(at, { shop: at >= 60 ? { ...healthy(at), cpu: 40, traffic: -9 } : healthy(at) })
    expect(anomalies(found).at(-1)!.endMs).toBeUndefined()
    for (let at = 65; at < 75; at++) minute(at, {})
    expect(anomalies(found).at(-1)!.endMs).toBeLessThanOrEqual(71 * MINUTE)
    const withShop = detector.snapshot().length
    for (let at = 75; at < 100; at++) minute(at, {})
    expect(detector.snapshot().length).toBeLessThan(withShop / 4)
  })

  test('more services than it may watch: the first ones are watched, memory stays bounded', () => {
    const seen = new Set<string>()
    const { minute, detector } = bench({ maxServices: 3 }, (service) => seen.add(service))
    for (let at = 0; at < 3; at++)
      minute(at, Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`s${String(i).padStart(2, '0')}`, { cpu: 1 }])))
    expect([...seen]).toEqual(['s00', 's01', 's02'])
    expect(detector.counts!()).toMatchObject({ services: 3, refused_vectors: 3 * 17 })
  })

  test('every vector it scores can be collected to train on', () => {
    const vectors: [string, number, number[]][] = []
    const { minute } = bench({}, (service, timeMs, vector) => vectors.push([service, timeMs, [...vector]]))
    minute(0, {}, [0])
    minute(0, { b: { cpu: 2 }, a: { traffic: 1, cpu: -3 } })
    minute(1, { a: { memory: 4 } })
    const row = (values: Partial<Record<Feature, number>>): number[] => FEATURES.map((feature) => values[feature] ?? 0)
    expect(vectors).toEqual([
      ['a', MINUTE, row({ traffic: 1, cpu: -3 })],
      ['b', MINUTE, row({ cpu: 2 })],
      ['a', 2 * MINUTE, row({ memory: 4 })],
    ])
  })

  test('restored from a snapshot, between ticks too, it continues as if nothing had been', () => {
    const script = (at: number): Record<string, Partial<Record<Feature, number>>> => ({
      shop: (at >= 50 && at < 58) || at >= 70 ? { ...healthy(at), cpu: 30, traffic: -6 } : healthy(at),
      cart: healthy(at + 150),
    })
    const whole = bench()
    for (let at = 0; at < 90; at++) whole.minute(at, script(at))
    expect(anomalies(whole.found).length).toBeGreaterThan(2)
    for (const cut of [0, 10, 51, 52, 55, 59, 71, 80]) {
      const before = bench()
      for (let at = 0; at < cut; at++) before.minute(at, script(at))
      // Half of the next window is on the board when the snapshot is taken.
      before.minute(cut, script(cut), [])
      const after = bench()
      const board = new SnapshotWriter(1)
      before.board.snapshot(board)
      after.board.restore(new SnapshotReader(board.finish(), 'the board', 1))
      after.detector.restore(before.detector.snapshot())
      after.minute(cut, {})
      for (let at = cut + 1; at < 90; at++) after.minute(at, script(at))
      expect([...before.found, ...after.found], `cut at ${cut}`).toEqual(whole.found)
      expect(after.detector.snapshot()).toEqual(whole.detector.snapshot())
    }
  })

  test('a snapshot of version 1, from before services had models of their own, is read', () => {
    const before = bench()
    for (let at = 0; at < 50; at++) before.minute(at, { shop: healthy(at) })
    const episodes = new SnapshotWriter(1)
    new Episodes({ openAfter: 2, closeAfter: 3, updateEveryMs: 1000, chartPoints: 10 }).snapshot(episodes)
    // What version 2 added, where no series was seen: three numbers and three counts, and no episodes.
    const added = 8 + 4 + 8 + 8 + 4 + 4 + (episodes.finish().length - 1)
    const after = bench()
    after.detector.restore(before.detector.snapshot().slice(0, -added).with(0, 1))
    expect(after.detector.snapshot()).toEqual(before.detector.snapshot())
  })

  test.each<[what: string, bytes: (good: Uint8Array) => Uint8Array, message: RegExp]>([
    ['a newer version', (good) => good.with(0, 9), /version 9/],
    ['cut off', (good) => good.slice(0, -3), /damaged/],
    ['too long', (good) => Uint8Array.from([...good, 0]), /damaged/],
    ['more features than there are', (good) => good.with(9, 200), /200 features/],
  ])('a snapshot that is %s is refused', (_what, bytes, message) => {
    const { detector, minute } = bench()
    for (let at = 0; at < 3; at++) minute(at, { shop: healthy(at) })
    expect(() => bench().detector.restore(bytes(detector.snapshot()))).toThrow(message)
  })

  test('a model that was not loaded is named', () => {
    expect(() =>
      serviceDetector.create(serviceDetector.config.parse({ model: 'moon' }), { partition: 0, residuals: new ResidualBoard(), models }),
    ).toThrow(/model moon has not been loaded \(loaded: service\)/)
  })
})
