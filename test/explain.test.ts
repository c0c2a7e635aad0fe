/** `tocsin explain`: what it prints of an anomaly, where it finds it, and what its exit code says. */
import fastify from 'fastify'
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig, type Config, type Overrides } from '../src/config.ts'
import { explain } from '../src/explain-command.ts'
import { anomalyLine, anomalyText } from '../src/explain-text.ts'
import type { Anomaly } from '../src/model.ts'
import { saveAnomalies } from '../src/store/anomalies.ts'
import { openPglite } from '../src/store/pglite.ts'
import { Telemetry } from '../src/telemetry.ts'
import { registerPages } from '../src/web/server.ts'
import { anomaly as shape } from './contract/db-suite.ts'
import { temporaryFolder, type TemporaryFolder } from './support/processes.ts'
import { seedIncident, type SeededIncident } from './support/seed-incident.ts'

const START_MS = Date.UTC(2026, 2, 1, 3, 4, 5)
const anomaly: Anomaly = {
  ...shape,
  startMs: START_MS,
  endMs: START_MS + 20 * 60_000,
  score: 2,
  observed: 1.5,
  expected: 0.5,
  points: {
    timeMs: [0, 1, 2, 3].map((i) => START_MS + (i - 1) * 600_000),
    observed: [0.5, 1, 1.5, 0.5],
    expected: [0.5, 0.5, 0.5, 0.5],
    low: [0, 0, 0, 0],
    high: [1, 1, 1, 1],
  },
  reckoning: {
    rule: 'deviation',
    inputs: [
      ['observed', 1.5],
      ['expected', 0.5],
      ['spread', 0.1],
      ['side', 1],
      ['threshold', 5],
    ],
    oncePerWeeks: 14,
  },
}

describe('the text', () => {
  it('says what, since when, how unlikely, from which inputs, and the score made again', () => {
    expect(anomalyText(anomaly, 'inc-1').trimEnd().split('\n')).toEqual([
      'payments: latency p95  (anomaly a1)',
      '  observed      1.5 s, 1,200 samples behind it',
      '  expected      500 ms',
      '  since         2026-03-01 03:04:05 UTC, to 2026-03-01 03:24:05 UTC, 20 min',
      '  how unlikely  by chance about once in 14 weeks for this series',
      '  felt          yes, by users or other services',
      '  detector      seasonal',
      '  instance      p-0',
      '  incident      inc-1',
      '',
      '  Rule deviation: distance from the expected value',
      '    observed      1.5',
      '    expected      0.5',
      '    spread        0.1',
      '    side          1',
      '    threshold     5',
      '  score = (observed − expected) ÷ spread on the side that is bad, ÷ threshold',
      '  recomputed    2',
      '  stored        2',
      '  They agree; 1 is the threshold.',
      '',
      '  - p95 was 1.5 s, expected 0.1 s',
      '',
      '  ▁▅█▁  500 ms to 1.5 s',
      '   ^^   2026-03-01 02:54:05 UTC to 2026-03-01 03:24:05 UTC',
    ])
  })

  it.each([
    ['a score that its inputs do not make', { ...anomaly, score: 3 }, 'They DO NOT agree', 'score 3 (DIFFERS from its inputs)'],
    [
      'a rule of another version',
      { ...anomaly, reckoning: { ...anomaly.reckoning!, rule: 'entropy' } },
      'of another version of Tocsin',
      'DIFFERS',
    ],
    ['one from before', { ...anomaly, reckoning: undefined }, 'told by an earlier version', 'not told how it came about'],
  ])('%s is told as such', (_, one, inText, inLine) => {
    expect(anomalyText(one, 'inc-1')).toContain(inText)
    expect(anomalyLine(one)).toContain(inLine)
  })

  it('obeys nothing that telemetry put into it', () => {
    const evil = '\u001B[2J\u001B]0;x\u0007\r\n\u202Eroot\u0085'
    const hostile: Anomaly = {
      ...anomaly,
      id: evil,
      detector: evil,
      service: evil,
      instance: evil,
      subject: evil.repeat(1000),
      unit: evil,
      score: NaN,
      observed: 1e308,
      expected: -Infinity,
      evidence: [evil],
      points: { timeMs: [NaN, 1e300], observed: [NaN, 3], expected: [], low: [], high: [] },
      reckoning: { rule: evil, inputs: [[evil, NaN], ['__proto__', 1], ...Array.from({ length: 500 }, (_, i) => [`${i}`, i] as const)], oncePerWeeks: -1 }, // prettier-ignore
    }
    for (const text of [anomalyText(hostile, evil), anomalyLine(hostile)]) {
      expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      expect(text.split('\n').length).toBeLessThan(100)
      expect(text.length).toBeLessThan(10_000)
    }
  })
})

describe('the command', () => {
  let folder: TemporaryFolder
  let seeded: SeededIncident
  const said = async (id: string, over: Overrides = {}, json = false) => {
    let text = ''
    const code = await explain(configWith(over), { id, json, recording: undefined }, (part) => (text += part))
    return { code, text }
  }
  /** Nobody listens at port 1. */
  const configWith = (over: Overrides): Config =>
    loadConfig(undefined, { dataDir: folder.path, logLevel: 'silent', 'http.host': '127.0.0.1', 'http.port': 1, ...over })

  beforeAll(async () => {
    folder = await temporaryFolder('explain')
    await using db = await openPglite({ dataDir: folder.path })
    seeded = await seedIncident(db, START_MS)
    await saveAnomalies(db, [{ incidentId: seeded.incident.id, anomaly: { ...anomaly, id: 'wrong', score: 3 } }])
  }, 60_000)
  afterAll(() => folder[Symbol.asyncDispose]())

  it('reads the store of a program that does not run', async () => {
    const { code, text } = await said(seeded.anomalies[0]!.id)
    expect(code).toBe(0)
    expect(text).toContain('They agree')
    expect(text).toContain(`incident      ${seeded.incident.id}`)
  })

  it('tells of a whole incident in a line each, and fails when one of its scores cannot be made again', async () => {
    const { code, text } = await said(seeded.incident.id)
    expect(code).toBe(1)
    const lines = text.trimEnd().split('\n')
    expect(lines.at(-1)).toContain('7 anomalies of incident')
    expect(lines.filter((line) => line.includes('(agrees)'))).toHaveLength(5)
    expect(lines.filter((line) => line.includes('not told how'))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('DIFFERS'))).toHaveLength(1)
  })

  it('as JSON, in which no character is obeyed either', async () => {
    const { code, text } = await said('wrong', {}, true)
    expect(code).toBe(1)
    expect(JSON.parse(text)).toMatchObject({ id: 'wrong', incident: seeded.incident.id, score: 3, recomputed: 2, fate: 'differs' })
  })

  it.each(['nope', '', '\u001B[2J', '__proto__'])('%j is no id', async (id) => {
    await expect(said(id)).rejects.toThrow(/^there is no anomaly and no incident "[^\p{Cc}]*": /u)
  })

  it('makes no folder where there is none', async () => {
    await expect(said('nope', { dataDir: `${folder.path}/none` })).rejects.toThrow('there is no anomaly')
  })

  it('asks a program that runs, with its token, and hears the same', async () => {
    await using db = await openPglite()
    const { incident, anomalies } = await seedIncident(db, START_MS)
    const app = fastify()
    await registerPages(app, {
      db,
      telemetry: new Telemetry(pino({ level: 'silent' })),
      planNotices: () => [],
      clock: () => START_MS,
      token: 'secret',
    })
    const url = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
    const there = { 'http.port': Number(url.port), 'http.token': 'secret' }
    try {
      for (const id of [anomalies[0]!.id, anomalies[5]!.id]) expect(await said(id, there)).toEqual(await said(id))
      expect((await said(incident.id, there)).text).toContain('6 anomalies of incident')
      await expect(said('nope', there)).rejects.toThrow('there is no anomaly')
      await expect(said(incident.id, { ...there, 'http.token': 'wrong' })).rejects.toThrow('answers 401')
    } finally {
      await app.close()
    }
  }, 60_000)
})
