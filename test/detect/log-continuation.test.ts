import { describe, expect, it } from 'vitest'
import { logsConfig } from '../../src/detect/logs/logs-config.ts'
import { LogsDetector } from '../../src/detect/logs/logs.ts'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import type { LogBatch } from '../../src/model.ts'

const START = 1_700_000_000_000

interface Line {
  readonly text: string
  readonly afterMs?: number
  readonly instance?: string
}

function batchOf(lines: readonly (string | Line)[]): LogBatch {
  const all = lines.map((line): Line => (typeof line === 'string' ? { text: line } : line))
  return {
    kind: 'logs',
    rows: all.length,
    sources: all.map(({ instance = 'cart-0' }) => ({ service: 'cart', instance, version: '' })),
    sourceIndex: Uint32Array.from(all, (_, i) => i),
    timeMs: Float64Array.from(all, ({ afterMs = 0 }) => START + afterMs),
    severity: new Uint8Array(all.length).fill(17),
    body: all.map(({ text }) => text),
    traceId: all.map(() => ''),
  }
}

function listen() {
  const told: string[] = []
  const context = {
    partition: 0,
    residuals: new ResidualBoard(),
    templates: (_service: string, _timeMs: number, id: number, names: { textOf(id: number): string; resolve(id: number): number }) => {
      told.push(names.textOf(names.resolve(id)))
    },
  }
  return { told, detector: new LogsDetector(logsConfig.parse({}), context) }
}

const TRACE = [
  'Request 17 failed: java.io.IOException: reset',
  '\tat a.b.C.d(C.java:1)',
  '\tat a.b.E.f(E.java:22)',
  'Caused by: a.b.G: h',
  '\t... 7 more',
]

describe('a trace that comes line by line', () => {
  it('is one line: its frames have no templates of their own', () => {
    const { told, detector } = listen()
    detector.detect(batchOf([...TRACE, 'next request 18', ...TRACE]), () => undefined)
    expect(told).toEqual([
      'Request <*> failed: java.io.IOException: reset',
      'next request <*>',
      'Request <*> failed: java.io.IOException: reset',
    ])
    expect(detector.counts()).toMatchObject({ mined: 2, continued: 8 })
  })

  it('is one line whatever the batches, and after a restart in the middle of it', () => {
    const { told, detector } = listen()
    for (const line of TRACE.slice(0, 3)) detector.detect(batchOf([line]), () => undefined)
    const after = listen()
    after.detector.restore(detector.snapshot())
    for (const line of TRACE.slice(3)) after.detector.detect(batchOf([line]), () => undefined)
    expect([...told, ...after.told]).toEqual(['Request <*> failed: java.io.IOException: reset'])
  })

  it('takes the source lines among its frames along', () => {
    const { told, detector } = listen()
    const python = ['job 5 failed', 'Traceback (most recent call last):', '  File "a.py", line 3, in f', '    boom()', 'ValueError: bad']
    detector.detect(batchOf(python), () => undefined)
    expect(told).toEqual(['job <*> failed', 'ValueError: bad'])
  })

  it('is of the instance whose line came before', () => {
    const { told, detector } = listen()
    detector.detect(batchOf(['request failed', { text: '\tat a.B.c(B.java:1)', instance: 'cart-1' }]), () => undefined)
    expect(told).toEqual(['request failed', 'at a.B.c(<*>)'])
  })

  it('is over after some seconds: what comes then is a line of its own', () => {
    const { told, detector } = listen()
    detector.detect(
      batchOf(['request failed', { text: 'Caused by: x', afterMs: 60_000 }, { text: '\tat a.B(B.java:1)', afterMs: NaN }]),
      () => undefined,
    )
    expect(told).toHaveLength(3)
  })
})

describe('a line that is indented without being part of a trace', () => {
  it.each([
    ['JSON over several lines', ['{', '    "level": "error",', '    "message": "payment failed",', '}']],
    ['YAML', ['config:', '    replicas: 3', '    image: cart', '\tother: 5']],
    ['a service all of whose lines are', ['    INFO up', '    ERROR the disk is full', '    at 10:15 the job began']],
    ['a whole trace in one text', ['ready', 'Traceback (most recent call last):\n  File "a.py", line 3, in f\nValueError: bad']],
  ])('%s: counts', (_what, lines) => {
    const { told, detector } = listen()
    detector.detect(batchOf(lines), () => undefined)
    expect(told).toHaveLength(lines.length)
    expect(detector.counts()).toMatchObject({ continued: 0 })
  })
})
