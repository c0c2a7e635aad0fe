import { describe, expect, it } from 'vitest'
import { logsConfig } from '../../src/detect/logs/logs-config.ts'
import { LogsDetector, logsDetector } from '../../src/detect/logs/logs.ts'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import type { Anomaly, Batch, Finding, LogBatch } from '../../src/model.ts'

const START = 1_700_000_000_000
const [INFO, WARN, ERROR] = [9, 13, 17]

interface Line {
  readonly atMs: number
  readonly text: string
  readonly severity?: number
  readonly service?: string
}

describe('the log detector', () => {
  it('is silent while everything is as usual, and about new lines during the warm-up', () => {
    const told = run([...usual(0, 600), { atMs: 30_000, text: 'ERROR first time', severity: ERROR }], 600)
    expect(told).toEqual([])
  })

  it('tells of an error never seen before, once, and ends it when it stops', () => {
    const lines = usual(0, 900)
    for (let s = 400; s < 440; s += 5)
      lines.push({ atMs: s * 1000, text: `cannot charge card: gateway said no for order ${s}`, severity: ERROR })
    const told = run(lines, 900)
    const last = told.at(-1)!
    expect(new Set(told.filter((one) => one.subject.startsWith('new')).map((one) => one.id)).size).toBe(1)
    const opened = told.find((one) => one.subject.startsWith('new log line'))!
    expect(opened).toMatchObject({
      detector: 'logs',
      service: 'shop',
      symptom: 'log',
      direction: 'up',
      impact: false,
      signal: 'logs',
      subject: 'new log line: cannot charge card: gateway said no for order <*>',
      startMs: START + 400_000,
    })
    expect(opened.atMs).toBeLessThanOrEqual(START + 430_000)
    expect(opened.evidence.join(' ')).toContain('cannot charge card: gateway said no for order 400')
    expect(last.endMs).toBeGreaterThan(START + 430_000)
  })

  it.each([
    ['a new line of information, twice', INFO, 2, false],
    ['a new line of information, two hundred times', INFO, 200, true],
    ['one new warning', WARN, 1, false],
    ['three new warnings on the first day', WARN, 3, false],
    ['thirty new warnings', WARN, 30, true],
    ['one new error', ERROR, 1, true],
    ['a line without severity that says failed', 0, 1, true],
  ])('%s', (_what, severity, times, isTold) => {
    const lines = usual(0, 600)
    for (let i = 0; i < times; i++) lines.push({ atMs: 400_000 + i, text: 'something has failed over there', severity })
    const told = run(lines, 600).filter((one) => one.subject.startsWith('new log line'))
    expect(told.length > 0).toBe(isTold)
  })

  it('tells of a burst of a line it knows, with how often it was expected', () => {
    const lines = usual(0, 900)
    for (let s = 0; s < 900; s += 20) lines.push({ atMs: s * 1000, text: 'retrying the payment', severity: WARN })
    for (let i = 0; i < 300; i++) lines.push({ atMs: 700_000 + i * 60, text: 'retrying the payment', severity: WARN })
    const told = run(lines, 900).filter((one) => one.subject === 'log line: retrying the payment')
    expect(told[0]!.startMs).toBe(START + 700_000)
    expect(told[0]!.observed).toBeGreaterThan(10)
    expect(told[0]!.expected).toBeLessThan(0.2)
    expect(told[0]!.evidence[0]).toMatch(/^shop wrote this \d+ times in 10 s, 0(\.\d)? were expected: ".+"$/)
    expect(told.at(-1)!.endMs).toBeDefined()
  })

  it('does not call it a burst when all lines grow alike', () => {
    const lines = [...usual(0, 900), ...usual(600, 900), ...usual(600, 900), ...usual(600, 900)]
    expect(run(lines, 900)).toEqual([])
  })

  it('tells when the share of error lines shifts, though none of them is new', () => {
    const lines = usual(0, 900)
    for (let s = 0; s < 900; s += 30) lines.push({ atMs: s * 1000, text: `query ${s} was too slow`, severity: ERROR })
    for (let s = 600; s < 700; s++)
      for (const part of [0, 300, 600]) lines.push({ atMs: s * 1000 + part, text: `query ${s} was too slow`, severity: ERROR })
    const told = run(lines, 900).filter((one) => one.subject === 'error lines')
    expect(told[0]).toMatchObject({ startMs: START + 600_000, unit: 'lines/s', impact: false, volume: 31 })
    expect(told.at(-1)!.endMs).toBe(START + 700_000)
  })

  it('writes residuals, and only after the warm-up', () => {
    const board = new ResidualBoard()
    const lines = usual(0, 400)
    for (let i = 0; i < 50; i++) lines.push({ atMs: 300_000 + i, text: 'all is lost', severity: ERROR })
    run(lines, 310, board)
    const seen = new Map<string, number[]>()
    board.drain((service, vector) => seen.set(service, [...vector.subarray(11, 14)]))
    expect(seen.get('shop')!.every((z) => z > 3)).toBe(true)
    const early = new ResidualBoard()
    run(usual(0, 100), 100, early)
    early.drain(() => expect.fail('nothing is known yet'))
  })

  it('bounds the anomalies of a service that writes ever new lines, and says that there are more', () => {
    const lines = usual(0, 400)
    for (let i = 0; i < 400; i++)
      lines.push({ atMs: 300_000 + i * 20, text: `${word(i)} ${word(i + 400)} ${word(i + 800)}`, severity: ERROR })
    const told = run(lines, 330).filter((one) => one.subject.startsWith('new'))
    expect(new Set(told.map((one) => one.id)).size).toBe(5)
    expect(told[0]!.evidence.at(-1)).toMatch(/^\d+ more new kinds of log lines/)
  })

  it('looks at no more services than it may, and counts the rest', () => {
    const detector = new LogsDetector(logsConfig.parse({ maxServices: 2 }), { partition: 0, residuals: new ResidualBoard() })
    for (const service of ['a', 'b', 'c', 'd', 'a']) detector.detect(batchOf([{ atMs: 0, text: 'x', service }]), () => {})
    expect(detector.ignoredLines).toBe(2)
  })

  it('clips what it quotes and takes control characters out', () => {
    const lines = usual(0, 400)
    lines.push({ atMs: 300_000, text: `boom\u0000\u001b[31m <script>alert(1)</script> ${'x'.repeat(5000)}`, severity: ERROR })
    const [told] = run(lines, 400)
    const example = told!.evidence.find((sentence) => sentence.startsWith('For example'))!
    expect(example.length).toBeLessThan(230)
    expect(example).not.toMatch(/\p{Cc}/u)
    expect(told!.subject.length).toBeLessThan(170)
  })

  it('survives times that make no sense', () => {
    const lines = usual(0, 300)
    for (const atMs of [NaN, Infinity, -Infinity, -1e15, 1e15, -START]) lines.push({ atMs, text: 'whenever' })
    expect(run(lines, 600)).toEqual([])
  })

  it('says the same whatever the batches, and after a restore at any point', () => {
    const lines = usual(0, 600)
    for (let s = 400; s < 460; s += 2) lines.push({ atMs: s * 1000, text: `cannot charge card: order ${s}`, severity: ERROR })
    for (let i = 0; i < 30; i++) lines.push({ atMs: 450_000 + i, text: `session of ${word(i)} was closed by peer`, severity: WARN })
    const whole = JSON.stringify(run(lines, 600))
    expect(JSON.parse(whole)).not.toEqual([])
    expect(JSON.stringify(run(lines, 600, undefined, 1))).toBe(whole)
    expect(JSON.stringify(run(lines, 600, undefined, 7, 29))).toBe(whole)
    expect(JSON.stringify(run(lines, 600, undefined, 1000, 1))).toBe(whole)
  })

  it('refuses a snapshot of a newer version', () => {
    const detector = create()
    const bytes = detector.snapshot()
    bytes[0] = 99
    expect(() => detector.restore(bytes)).toThrow(/version 99/)
  })
})

/** Four lines a second in some variety. */
function usual(fromS: number, toS: number): Line[] {
  const lines: Line[] = []
  for (let s = fromS; s < toS; s++) {
    lines.push({ atMs: s * 1000 + 10, text: `GET /cart/${s} 200 in ${s % 17} ms`, severity: INFO })
    lines.push({ atMs: s * 1000 + 300, text: `POST /checkout 200 in ${s % 29} ms`, severity: INFO })
    if (s % 3 !== 0) lines.push({ atMs: s * 1000 + 600, text: `cache hit for item ${s}`, severity: INFO })
    if (s % 5 !== 0) lines.push({ atMs: s * 1000 + 900, text: `order ${s} packed`, severity: INFO })
  }
  return lines
}

function create(): ReturnType<typeof logsDetector.create> {
  return logsDetector.create(logsConfig.parse({}), { partition: 0, residuals: new ResidualBoard() })
}

/** Plays the lines with a tick every five seconds, in batches of at most `size`, restoring into a new detector every `restoreEvery` ticks. */
function run(lines: readonly Line[], untilS: number, board = new ResidualBoard(), size = 1000, restoreEvery = 0): Anomaly[] {
  const found: Finding[] = []
  const emit = (finding: Finding): void => void found.push(finding)
  const context = { partition: 0, residuals: board }
  let detector = logsDetector.create(logsConfig.parse({}), context)
  const sorted = [...lines].sort((a, b) => (Number.isFinite(a.atMs) ? a.atMs : 0) - (Number.isFinite(b.atMs) ? b.atMs : 0))
  let next = 0
  let ticks = 0
  for (let s = 0; s <= untilS + 20; s += 5) {
    let batch: Line[] = []
    for (; next < sorted.length && !(sorted[next]!.atMs >= s * 1000); next++) {
      batch.push(sorted[next]!)
      if (batch.length === size) {
        detector.detect(batchOf(batch), emit)
        batch = []
      }
    }
    if (batch.length > 0) detector.detect(batchOf(batch), emit)
    detector.detect({ kind: 'tick', nowMs: START + s * 1000 } satisfies Batch, emit)
    ticks++
    if (restoreEvery > 0 && ticks % restoreEvery === 0) {
      const bytes = detector.snapshot()
      detector = logsDetector.create(logsConfig.parse({}), context)
      detector.restore(bytes)
    }
  }
  return found.filter((finding) => finding.kind === 'anomaly')
}

function batchOf(lines: readonly Line[]): LogBatch {
  const services = [...new Set(lines.map((line) => line.service ?? 'shop'))]
  return {
    kind: 'logs',
    rows: lines.length,
    sources: services.map((service) => ({ service, instance: `${service}-1`, version: '1' })),
    sourceIndex: Uint32Array.from(lines, (line) => services.indexOf(line.service ?? 'shop')),
    timeMs: Float64Array.from(lines, (line) => START + line.atMs),
    severity: Uint8Array.from(lines, (line) => line.severity ?? INFO),
    body: lines.map((line) => line.text),
    traceId: lines.map(() => ''),
  }
}

function word(n: number): string {
  let text = ''
  for (let rest = n * 7919 + 100_000; rest > 0; rest = Math.floor(rest / 26)) text += String.fromCharCode(97 + (rest % 26))
  return text
}
