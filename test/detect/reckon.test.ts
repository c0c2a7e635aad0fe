/**
 * Every anomaly says how its score came about, and the score can be made again from that alone: after the wire, after the store and after a
 * restart in the middle of it. The recorded outage is the witness, with all detectors on.
 */
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeFindings, encodeFindings } from '../../src/codec.ts'
import { Episodes, type Observation, type Subject } from '../../src/detect/episode.ts'
import { agrees, MAX_SCORE, reckoning, recompute, weeksOfScore, weeksOfSurprise } from '../../src/detect/reckon.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'
import type { Anomaly } from '../../src/model.ts'
import { often, RULES, ruleText, type RuleName } from '../../src/reckoning.ts'
import { Pipeline } from '../support/pipeline.ts'

describe('the recorded outage', () => {
  let anomalies: readonly Anomaly[]
  beforeAll(async () => {
    await using pipeline = await Pipeline.open()
    await pipeline.play(fileURLToPath(new URL('../../examples/outage', import.meta.url)))
    anomalies = pipeline.anomalies
  }, 120_000)

  it('has anomalies of metrics, logs and spans, each with a rule that is known', () => {
    expect(new Set(anomalies.map(({ detector }) => detector))).toEqual(new Set(['series', 'logs', 'spans']))
    expect(anomalies.filter(({ reckoning: told }) => told === undefined || ruleText(told.rule) === undefined)).toEqual([])
  })

  it('every score is made again by its inputs', () => {
    const wrong = anomalies
      .map(({ detector, subject, score, reckoning: told }) => ({ detector, subject, told, score, again: recompute(told!) }))
      .filter(({ score, again }) => !agrees(score, again))
    expect(wrong).toEqual([])
  })

  it('and still is after the wire', () => {
    const arrived = decodeFindings(encodeFindings(anomalies)) as Anomaly[]
    expect(arrived.filter(({ score, reckoning: told }) => !agrees(score, recompute(told!)))).toEqual([])
  })

  it('inputs have names that differ and are finite: a store keeps nothing else', () => {
    for (const { subject, reckoning: told } of anomalies) {
      expect(new Set(told!.inputs.map(([name]) => name)).size, subject).toBe(told!.inputs.length)
      expect(
        told!.inputs.filter(([, value]) => !Number.isFinite(value)),
        subject,
      ).toEqual([])
    }
  })

  it('what is told of a series says how unlikely it is', () => {
    const told = anomalies.filter(({ reckoning: one }) => one?.rule === 'deviation')
    expect(told.length).toBeGreaterThan(0)
    for (const { reckoning: one } of told) expect(one!.oncePerWeeks).toBeGreaterThan(0)
  })

  afterAll(() => {
    anomalies = []
  })
})

describe('a rule', () => {
  const examples: readonly (readonly [RuleName, readonly (readonly [string, number])[], number])[] = [
    ['deviation', [['observed', 30], ['expected', 10], ['spread', 2], ['side', 0], ['threshold', 5]], 2], // prettier-ignore
    ['deviation', [['observed', 30], ['expected', 10], ['spread', 2], ['side', 2], ['threshold', 5]], 0], // prettier-ignore
    ['sure-quantile', [['observed', 30], ['expected', 10], ['spread', 2], ['side', 1], ['threshold', 5], ['surely', 25], ['limit', 20]], 1.5], // prettier-ignore
    ['error-ratio', [['failed', 2], ['requests', 2], ['standard errors', 2.5], ['least failed', 3], ['limit', 0.1]], 0], // prettier-ignore
    ['silence', [['silent for (s)', 600], ['limit (s)', 100], ['cap', 3]], 3], // prettier-ignore
    ['target-down', [['up', 0], ['score of a target that is down', 3]], 3], // prettier-ignore
    ['reconstruction', [['error', 4], ['minimum', 1], ['model threshold', 2], ['usual level', 1], ['threshold', 1]], 2], // prettier-ignore
    ['movement', [['error', 6], ['99 % quantile', 0.5], ['usual level', 1], ['threshold', 3]], 2], // prettier-ignore
    ['burn', [['failed', 30], ['requests', 1000], ['share allowed', 0.001], ['cap', 1000]], 30], // prettier-ignore
    ['exhaustion', [['told within (s)', 3600], ['time left (s)', 0], ['least time left (s)', 60], ['least score', 0]], 60], // prettier-ignore
    ['expiry', [['told within (s)', 864_000], ['time left (s)', 86_400], ['imminent (s)', 3600]], 10], // prettier-ignore
    ['burst', [['lines', 99.625], ['expected lines', 24.625], ['spread', 1], ['threshold', 5]], 2], // prettier-ignore
    ['burst', [['lines', 99.625], ['expected lines', 24.625], ['spread', 1], ['distance before', 5], ['threshold', 5]], 1], // prettier-ignore
    ['novelty', [['lines', 16], ['lines that are enough', 1]], 2], // prettier-ignore
    ['value-shift', [['observed', Math.expm1(4)], ['expected', Math.expm1(2)], ['spread', 0.5], ['distance before', 9], ['threshold', 2], ['least score', 0]], 2], // prettier-ignore
    ['stopped', [['windows silent', 20], ['windows silent, limit', 10], ['other lines meanwhile', 90], ['other lines meanwhile, limit', 30], ['cap', 10]], 2], // prettier-ignore
    ['traffic', [['requests', 24.625], ['expected requests', 99.625], ['spread', 2], ['threshold', 5]], 1], // prettier-ignore
    ['new-call', [['calls', 30], ['calls before', 0]], 1], // prettier-ignore
    ['missing-call', [['missing calls', 90], ['longest silence', 10], ['times', 3], ['least', 30]], 1], // prettier-ignore
    ['missed-run', [['lateness', 1.2]], 1], // prettier-ignore
  ]
  it.each(examples)('%s of %j is %d', (rule, inputs, score) => {
    expect(recompute(reckoning(rule, inputs))).toBeCloseTo(score, 9)
  })

  it('that nobody knows, or whose inputs are missing, gives no score', () => {
    expect(recompute({ rule: 'of another version', inputs: [], oncePerWeeks: 1 })).toBeNaN()
    expect(recompute({ rule: '__proto__', inputs: [], oncePerWeeks: 1 })).toBeNaN()
    expect(recompute({ rule: 'toString', inputs: [], oncePerWeeks: 1 })).toBeNaN()
    for (const rule of Object.keys(RULES) as RuleName[])
      if (rule !== 'new-call' && rule !== 'missing-call' && rule !== 'missed-run') expect(recompute(reckoning(rule, [])), rule).toBeNaN()
  })

  it('never gives more than is ever told', () => {
    expect(recompute(reckoning('novelty', [['lines', 1e308], ['lines that are enough', 1e-308]]))).toBeLessThanOrEqual(MAX_SCORE) // prettier-ignore
    expect(recompute(reckoning('burn', [['failed', 1], ['requests', 1], ['share allowed', 1e-9], ['cap', 1e9]]))).toBe(MAX_SCORE) // prettier-ignore
  })
})

describe('how unlikely', () => {
  it.each([
    [Number.NaN, ''],
    [0, ''],
    [1 / 20_000, 'many times an hour'],
    [1 / 35, 'about 5 times a day'],
    [1 / 3, 'about 3 times a week'],
    [1, 'about once a week'],
    [14.2, 'about once in 14 weeks'],
    [52, 'about once a year'],
    [156, 'about once in 3 years'],
    [1e9, 'not once in a hundred years'],
  ])('once in %d weeks is "%s"', (weeks, text) => {
    expect(often(weeks)).toBe(text)
  })

  it('a threshold is what the false alarms per week say, and three digits of surprise a thousand times as rare', () => {
    expect(weeksOfScore(1, 12, 2)).toBe(0.5)
    expect(weeksOfScore(2, Math.log(8), 2)).toBeCloseTo(4)
    expect(weeksOfSurprise(6, 604_800)).toBeCloseTo(1000)
  })
})

describe('an episode', () => {
  const subject: Subject = {
    detector: 'test',
    signal: 'metrics',
    service: 'shop',
    instance: '',
    subject: 'queue',
    symptom: 'other',
    unit: '',
    impact: false,
  }
  const rules = { openAfter: 2, closeAfter: 2, updateEveryMs: 300_000, chartPoints: 20 }
  const at = (timeMs: number, score: number): Observation => ({
    timeMs,
    observed: score,
    expected: 0,
    low: 0,
    high: 1,
    score,
    direction: 'up',
    volume: 1,
  })
  const told: Anomaly[] = []
  const show = (episodes: Episodes, scores: readonly number[], fromMs: number, asked: number[]) => {
    told.length = 0
    for (const [i, score] of scores.entries()) {
      const reckon = (worst: Observation) => {
        asked.push(worst.score)
        return reckoning('silence', [['silent for (s)', worst.score], ['limit (s)', 1], ['cap', 100]]) // prettier-ignore
      }
      episodes.observe('key', subject, at(fromMs + i * 1000, score), () => [], (finding) => told.push(finding as Anomaly), reckon) // prettier-ignore
    }
  }

  it('asks how a score came about only of what is the worst so far', () => {
    const asked: number[] = []
    show(new Episodes(rules), [0.2, 0.9, 2, 3, 2.5, 7, 7, 1.1, 0, 0], 0, asked)
    expect(asked).toEqual([2, 3, 7])
    expect(told.map(({ score, reckoning: one }) => [score, recompute(one!)])).toEqual([[3, 3], [7, 7], [7, 7]]) // prettier-ignore
  })

  it('knows it after a restart', () => {
    const before = new Episodes(rules)
    show(before, [2, 6, 4], 0, [])
    const to = new SnapshotWriter(1)
    before.snapshot(to)
    const after = new Episodes(rules)
    after.restore(new SnapshotReader(to.finish(), 'a test', 1))
    show(after, [1.5, 0, 0], 3000, [])
    expect(told.at(-1)).toMatchObject({ score: 6, endMs: 4000 })
    expect(recompute(told.at(-1)!.reckoning!)).toBe(6)
  })

  it('of a snapshot from before this was kept goes on without it', () => {
    const before = new Episodes(rules)
    const sink: Anomaly[] = []
    for (const [i, score] of [2, 6].entries())
      before.observe('key', subject, at(i * 1000, score), () => [], (finding) => sink.push(finding as Anomaly)) // prettier-ignore
    const to = new SnapshotWriter(1)
    before.snapshot(to)
    const after = new Episodes(rules)
    after.restore(new SnapshotReader(to.finish(), 'a test', 1))
    show(after, [1.5, 0, 0], 3000, [])
    expect(told.at(-1)).toMatchObject({ score: 6, reckoning: undefined })
    show(after, [2, 8], 9000, [])
    expect(recompute(told.at(-1)!.reckoning!)).toBe(8)
  })
})
