/** What the log detector says of lines over time: what stops, what shifts, what comes back at its hour, and how often it is wrong. */
import { inflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { evaluate } from '../../bench/detect/log-rates.ts'
import { logsConfig } from '../../src/detect/logs/logs-config.ts'
import { logsDetector } from '../../src/detect/logs/logs.ts'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import type { Anomaly, Change, Finding } from '../../src/model.ts'

const START = 1_700_006_400_000
const WINDOW_MS = 10_000
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const [INFO, WARN, ERROR] = [9, 13, 17]

interface Line {
  readonly text: string
  readonly severity?: number
}

/** What a service writes in the ten seconds that begin so long after the start; `n` counts them. */
type Writes = (atMs: number, n: number) => readonly Line[]

/** Requests, a heartbeat every thirty seconds, a job every hour on the hour. */
const usual: Writes = (atMs, n) => {
  const lines: Line[] = []
  for (let i = 0; i < 2 + (n % 3); i++) lines.push({ text: `GET /cart answered in ${20 + ((n * 7 + i * 13) % 17)} ms` })
  if (n % 2 === 0) lines.push({ text: `cache refreshed with ${100 + (n % 40)} entries` })
  if (n % 3 === 0) lines.push({ text: 'heartbeat sent' })
  if (atMs % HOUR === 0) for (let i = 0; i < 40; i++) lines.push({ text: 'price list imported' })
  return lines
}

/** One in a hundred, with no order to it. */
const chance = (n: number) => (Math.imul(n ^ (n >>> 5), 0x85ebca6b) >>> 7) % 97 === 0

interface Story {
  readonly untilMs: number
  readonly changes?: readonly { readonly atMs: number; readonly change: Partial<Change> }[]
  readonly version?: (atMs: number) => string
  readonly restoreEveryMs?: number
}

function tell(writes: Writes, { untilMs, changes = [], version = () => '1', restoreEveryMs }: Story): Anomaly[] {
  const context = { partition: 0, residuals: new ResidualBoard() }
  let detector = logsDetector.create(logsConfig.parse({}), context)
  const told: Anomaly[] = []
  const emit = (finding: Finding): void => void (finding.kind === 'anomaly' && told.push(finding))
  detector.detect({ kind: 'tick', nowMs: START }, emit)
  for (let atMs = 0; atMs < untilMs; atMs += WINDOW_MS) {
    const lines = writes(atMs, atMs / WINDOW_MS)
    detector.detect(
      {
        kind: 'logs',
        rows: lines.length,
        sources: [{ service: 'shop', instance: 'shop-1', version: version(atMs) }],
        sourceIndex: new Uint32Array(lines.length),
        timeMs: new Float64Array(lines.length).fill(START + atMs + 1000),
        severity: Uint8Array.from(lines, (line) => line.severity ?? INFO),
        body: lines.map((line) => line.text),
        traceId: lines.map(() => ''),
      },
      emit,
    )
    for (const { atMs: changeMs, change } of changes) {
      if (changeMs < atMs || changeMs >= atMs + WINDOW_MS) continue
      const event = {
        kind: 'change',
        id: 'c',
        type: 'deploy',
        service: 'shop',
        version: '2',
        title: 'shop 2',
        atMs: START + changeMs,
        url: '',
      } as const
      detector.detect({ kind: 'events', events: [{ ...event, ...change }] }, emit)
    }
    detector.detect({ kind: 'tick', nowMs: START + atMs + WINDOW_MS + 5000 }, emit)
    if (restoreEveryMs !== undefined && atMs % restoreEveryMs === 0) {
      const bytes = detector.snapshot()
      detector = logsDetector.create(logsConfig.parse({}), context)
      detector.restore(bytes)
    }
  }
  return told
}

const subjects = (told: readonly Anomaly[]) => [...new Set(told.map((one) => one.subject))]
const without =
  (writes: Writes, fromMs: number, text: string): Writes =>
  (atMs, n) =>
    atMs < fromMs ? writes(atMs, n) : writes(atMs, n).filter((line) => !line.text.includes(text))

describe('a line that has stopped', () => {
  it('is told with since when, how often it came, and an example; and ends when it is back', () => {
    const away: Writes = (atMs, n) => (atMs >= 3 * HOUR && atMs < 3.5 * HOUR ? without(usual, 0, 'heartbeat')(atMs, n) : usual(atMs, n))
    const told = tell(away, { untilMs: 4 * HOUR })
    expect(subjects(told)).toEqual(['log line stopped: heartbeat sent'])
    const [opened, ended] = [told[0]!, told.at(-1)!]
    expect(opened).toMatchObject({ direction: 'down', observed: 0, service: 'shop', symptom: 'log', impact: false })
    expect(opened.atMs - START - 3 * HOUR).toBeLessThan(4 * MINUTE)
    expect(opened.startMs - START - 3 * HOUR).toBeLessThanOrEqual(30_000)
    expect(opened.evidence.join('\n')).toMatch(
      /not written this since .+Z: "heartbeat sent"\nIt came every 30 s and never stayed away for longer than 30 s.+\nBy chance .+\nFor example: "heartbeat sent"/,
    )
    expect(ended.endMs).toBe(START + 3.5 * HOUR)
  })

  it.each<[string, Writes]>([
    ['the whole service falls silent', (atMs, n) => (atMs < 3 * HOUR ? usual(atMs, n) : [])],
    ['its traffic falls to a tenth', (atMs, n) => (atMs < 3 * HOUR || n % 10 === 0 ? usual(atMs, n) : [])],
    [
      'it came only now and then',
      (atMs, n) => (atMs < 3 * HOUR && chance(n) ? [...usual(atMs, n), { text: 'cart abandoned' }] : usual(atMs, n)),
    ],
  ])('is not told when %s', (_what, writes) => {
    expect(tell(writes, { untilMs: 5 * HOUR })).toEqual([])
  })

  it.each<[string, Story]>([
    ['a deploy', { untilMs: 5 * HOUR, changes: [{ atMs: 3 * HOUR, change: {} }] }],
    ['a version that was never seen', { untilMs: 5 * HOUR, version: (atMs) => (atMs < 3 * HOUR ? '1' : '2') }],
  ])('was taken out by %s', (_what, story) => {
    const changed: Writes = (atMs, n) => [
      ...without(usual, 3 * HOUR, 'heartbeat')(atMs, n),
      ...(atMs >= 3 * HOUR ? [{ text: 'a new notice' }] : []),
    ]
    expect(tell(changed, story)).toEqual([])
  })

  it('is missed at its hour when it comes once a day', () => {
    const nightly: Writes = (atMs, n) => [
      { text: `GET /cart answered in ${20 + (n % 7)} ms` },
      ...(atMs % DAY === 2 * HOUR && atMs < 7 * DAY ? [{ text: 'backup written' }] : []),
    ]
    const told = tell(nightly, { untilMs: 7 * DAY + 4 * HOUR })
    expect(subjects(told)).toEqual(['log line stopped: backup written'])
    expect(told[0]!.atMs - START - 7 * DAY - 2 * HOUR).toBeLessThan(45 * MINUTE)
    expect(told[0]!.evidence[1]).toMatch(/^It came every 24 h, .+ and was due at .+Z\.$/)
  })
})

describe('a line that shifts', () => {
  it('is told when it comes at a worse severity', () => {
    const worse: Writes = (atMs, n) =>
      usual(atMs, n).map((line) => (atMs >= 2 * HOUR && line.text.startsWith('cache') ? { ...line, severity: ERROR } : line))
    const told = tell(worse, { untilMs: 2.2 * HOUR })
    const [shift] = told.filter((one) => one.subject.startsWith('severity of log line'))
    expect(shift!.subject).toContain('cache refreshed')
    expect(shift!.atMs - START - 2 * HOUR).toBeLessThanOrEqual(2 * MINUTE)
    expect(shift!.evidence[0]).toMatch(/^100 % of the last \d+ of these lines of shop were errors, 0 % were expected/)
  })

  it('is told when its durations grow, and not when a setting or a counter in it moves', () => {
    const slower: Writes = (atMs, n) => [
      ...usual(atMs, n).map((line) =>
        atMs >= 2 * HOUR && line.text.startsWith('GET') ? { text: `GET /cart answered in ${400 + ((n * 7) % 90)} ms` } : line,
      ),
      { text: `offset is ${atMs >= 2 * HOUR ? 5 * n : n}` },
      { text: `limit is ${atMs >= 2 * HOUR ? 900 : 100}` },
    ]
    const told = tell(slower, { untilMs: 2.2 * HOUR })
    expect(subjects(told)).toHaveLength(1)
    expect(told[0]!).toMatchObject({ direction: 'up', impact: false })
    expect(told[0]!.subject).toMatch(/^first number in log line: GET .+ answered in/)
    expect(told[0]!.observed).toBeGreaterThan(380)
    expect(told[0]!.expected).toBeLessThan(40)
  })

  it('is told when its status turns into server errors', () => {
    const failing: Writes = (atMs, n) =>
      [0, 1, 2, 3].map((i) => ({ text: `request done with status ${atMs >= 2 * HOUR && i < 2 ? 503 : (n + i) % 9 === 0 ? 404 : 200}` }))
    const told = tell(failing, { untilMs: 2.2 * HOUR })
    expect(subjects(told)).toEqual([expect.stringMatching(/^server errors in log line: request done with status/)])
    expect(told[0]!).toMatchObject({ expected: 0, unit: 'ratio' })
    expect(told[0]!.observed).toBeGreaterThan(0.3)
  })
})

describe('what comes back at its time', () => {
  it('is a burst once, and no more when it comes the next day', () => {
    const nightly: Writes = (atMs, n) => [
      ...usual(atMs, n),
      ...(atMs % DAY >= 3 * HOUR && atMs % DAY < 3 * HOUR + 5 * MINUTE
        ? Array.from({ length: 80 }, () => ({ text: 'cache refreshed with 7 entries' }))
        : []),
    ]
    const told = tell(nightly, { untilMs: 3 * DAY }).filter((one) => one.subject.startsWith('log line:'))
    expect(told.length).toBeGreaterThan(0)
    expect(new Set(told.map((one) => Math.floor((one.startMs - START) / DAY)))).toEqual(new Set([0]))
  })

  it('that a service always has new errors is no news after some of them', () => {
    const names = 'abcdefghijklmnopqrstuvwxyz'
    const odd: Writes = (atMs, n) =>
      atMs % (2 * HOUR) === HOUR + MINUTE
        ? [
            ...usual(atMs, n),
            { text: `module ${names[(n / 720) | 0]!.repeat(3)} ${names[((n / 720) | 0) + 1]!.repeat(4)} gave up`, severity: ERROR },
          ]
        : usual(atMs, n)
    const told = tell(odd, { untilMs: 2 * DAY })
    expect(subjects(told).length).toBeGreaterThan(0)
    expect(subjects(told).length).toBeLessThanOrEqual(3)
  })
})

it('names the deploy just before a new error', () => {
  const broken: Writes = (atMs, n) =>
    atMs >= 2 * HOUR + MINUTE ? [...usual(atMs, n), { text: 'cannot read the new index', severity: ERROR }] : usual(atMs, n)
  const told = tell(broken, { untilMs: 2.1 * HOUR, changes: [{ atMs: 2 * HOUR, change: { title: 'shop <b>2</b>' } }] })
  const opened = told.find((one) => one.subject === 'new log line: cannot read the new index')!
  expect(opened.evidence.at(-1)).toMatch(/^There was a change of shop \(deploy: shop <b>2<\/b>\) at .+Z: it may be the doing of that\.$/)
})

it.each([NaN, Infinity, -Infinity, 1e15])('is not misled by a deploy at %d', (atMs) => {
  const told = tell(without(usual, 3 * HOUR, 'heartbeat'), { untilMs: 3.2 * HOUR, changes: [{ atMs: 2 * HOUR, change: { atMs } }] })
  expect(subjects(told)).toEqual(['log line stopped: heartbeat sent'])
})

it('says the same after a restore at any time', () => {
  const story: Writes = (atMs, n) =>
    without(
      usual,
      2 * HOUR,
      'heartbeat',
    )(atMs, n).map((line) => (atMs >= 2.2 * HOUR ? { text: line.text.replace(/ in \d+/, ' in 700'), severity: WARN } : line))
  const whole = tell(story, { untilMs: 2.5 * HOUR })
  expect(subjects(whole).length).toBeGreaterThan(1)
  expect(tell(story, { untilMs: 2.5 * HOUR, restoreEveryMs: 7 * MINUTE })).toEqual(whole)
})

/** Of the first version, deflated: a shop that wrote `heartbeat sent` every five seconds for five minutes, and `charging failed` now and then. */
const FIRST_VERSION =
  'Y2RAARwOYKrBz4EBDTDBWR/s+RkYGJIzEovSM/PSFdISM3NSUxAKZdCM+GAPlXDgY2BgyEhNLCpJSk0sUShOzStB6PKGqoZb7MDIwMDAzcDAkFpUlF9UzFCckV8gy8DAIA' +
  'GWnbGaZW+FEwMD5zoIXbUBQr/eBKFjtkJo01oIvaweQos3QeiOFgj9sw1CZ3VC6NvdENqnD0LvnQCh9SZD6PlTIbTADAjdOAtCf5oDoZPnQ+grCyG06xIIvW0ZhFZfCaIT' +
  'oH487NRgA6IzVzXYnz1zxjYsvRTMX+/eAA60Wen9YP6bLY1g/tNZnWC+qz+Ef8uhBcxn+Yhdv+a762B+YUsbmH9o6lYw/6drC5gfOX0OmK8/qwnDfGzmLc5eA+bLrGrGqh' +
  '/dvYTch66/pXYSmH/mFXb/Ht/VCOZnHcFu3p30KWC+Ng/EPH72XjA/qBui/0d4G5j/SLQRmijtdkHihcGKyWWJIwMDgweUxpb2wWpAyZKFgQGcHmFJFVktI4IJT8qcWFO+' +
  'DXbjYPkFazZDmI5QJohDHZKxhai5AhnYOkSyfVeJWcGBkeNh8rvepT8V8/tuf2yJR/xHx1uw7EyoRMBZSBg6IFwEyb9QX1k5OMdG2b/l/G7f021QuUX0ij2aW7CUILjKFC' +
  'UHdG8zwvyjffN9tHABu0Nzx0PmIteLKJYAAA=='

it('goes on from a snapshot of the first version: what was known is not new', () => {
  const detector = logsDetector.create(logsConfig.parse({}), { partition: 0, residuals: new ResidualBoard() })
  detector.restore(inflateRawSync(Buffer.from(FIRST_VERSION, 'base64')))
  const told: Finding[] = []
  for (let s = 305; s < 900; s += 5) {
    const body = s < 600 ? (s % 50 === 0 ? 'charging failed' : 'heartbeat sent') : 'charging is impossible now'
    detector.detect(
      {
        kind: 'logs',
        rows: 1,
        sources: [{ service: 'shop', instance: '', version: '' }],
        sourceIndex: new Uint32Array(1),
        timeMs: Float64Array.of(START + s * 1000),
        severity: Uint8Array.of(body.startsWith('charging') ? ERROR : INFO),
        body: [body],
        traceId: [''],
      },
      (finding) => told.push(finding),
    )
    detector.detect({ kind: 'tick', nowMs: START + s * 1000 }, (finding) => told.push(finding))
  }
  const subjectsTold = new Set(told.map((finding) => finding.kind === 'anomaly' && finding.subject))
  expect(subjectsTold).toContain('new log line: charging is impossible now')
  expect(
    [...subjectsTold].filter((subject) => String(subject).includes('heartbeat') || String(subject).includes('charging failed')),
  ).toEqual([])
})

it('says little of a company in which nothing is wrong', () => {
  // Its first days, in which every nightly job is seen for the first time.
  const { falseAlarmsPerServiceWeek, lines } = evaluate({ seed: 3, services: 1, days: 4 })
  expect(lines).toBeGreaterThan(100_000)
  expect(falseAlarmsPerServiceWeek).toBeLessThan(15)
}, 60_000)
