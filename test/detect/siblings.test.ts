import { inflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { Anomaly, Batch } from '../../src/model.ts'
import { noise, seriesOf, START_MS, story, VERSION_3, Watch, type Row } from './metric-feed.ts'

/** Copies of a service come and go; what a copy is held against from its first minutes is what its siblings do. */

const STEP_MS = 15_000
const HOUR = 3_600_000 / STEP_MS
const minutes = (n: number): number => (n * 60_000) / STEP_MS

interface Pod {
  readonly name: string
  readonly from: number
  readonly to?: number
  readonly value: (step: number, z: () => number) => number
}

/** A queue in every pod: only more of it is bad. */
function pods(steps: number, of: readonly Pod[], metric = 'worker_queue_depth'): Batch[] {
  const random = of.map((_, i) => noise(i + 1))
  const series = of.map(({ name }) => seriesOf(metric, { pod: name, queue: 'mail' }, 'mailer', name))
  return story(steps, STEP_MS, (step, timeMs) =>
    of.flatMap((pod, i): Row[] =>
      step >= pod.from && step < (pod.to ?? steps) ? [[series[i]!, timeMs, pod.value(step - pod.from, random[i]!)]] : [],
    ),
  )
}

const about =
  (level: number) =>
  (_: number, z: () => number): number =>
    level + 3 * z()

function told(batches: readonly Batch[]): string[] {
  const watch = new Watch()
  watch.feed(...batches)
  const own = watch.anomalies.filter((one): one is Anomaly => one.symptom !== 'absence')
  return own.map((one) => `${one.instance} ${one.direction} at ${Math.round((one.startMs - START_MS) / 60_000)} min`)
}

const three = (value: Pod['value'], to?: number): Pod[] => ['a', 'b', 'c'].map((name) => ({ name, from: 0, value, ...(to && { to }) }))

describe('a new pod', () => {
  test('that does what its siblings do is quiet, through its cold start: a rolling deploy of three', () => {
    const cold = (step: number, z: () => number): number => 50 + 3 * z() + (step < minutes(2) ? 150 : 0)
    const fresh = ['d', 'e', 'f'].map((name, i): Pod => ({ name, from: 2 * HOUR + i * minutes(3), value: cold }))
    const old = three(about(50)).map((pod, i): Pod => ({ ...pod, to: 2 * HOUR + (i + 1) * minutes(3) }))
    expect(told(pods(4 * HOUR, [...old, ...fresh]))).toEqual([])
  })

  test('that is sick from its first minute is told of against its siblings, as soon as it has settled', () => {
    const sick: Pod = { name: 'd', from: 2 * HOUR, value: about(150) }
    expect(told(pods(2.4 * HOUR, [...three(about(50)), sick]))).toEqual(['d up at 123 min'])
  })

  test('… also when it has replaced them', () => {
    const sick: Pod = { name: 'd', from: 2 * HOUR, value: about(150) }
    expect(told(pods(2.4 * HOUR, [...three(about(50), 2 * HOUR), sick]))).toEqual(['d up at 123 min'])
  })

  test('without siblings that have been there for a while has nobody to be held against', () => {
    const all = [...three(about(50)), { name: 'd', from: 0, value: about(150) }]
    expect(told(pods(HOUR, all))).toEqual([])
  })

  test('with one sibling only is held against itself: one cannot agree with anybody', () => {
    expect(told(pods(2.4 * HOUR, [three(about(50))[0]!, { name: 'd', from: 2 * HOUR, value: about(150) }]))).toEqual([])
  })

  test('of shards that disagree may be at any level', () => {
    const shards = [50, 400, 900].map((level, i): Pod => ({ name: `s${i}`, from: 0, value: about(level) }))
    expect(told(pods(2.4 * HOUR, [...shards, { name: 's3', from: 2 * HOUR, value: about(1500) }]))).toEqual([])
  })

  test('that gets less to do than its siblings, as a canary does, is quiet, and told of when it gets worse later', () => {
    const canary: Pod = { name: 'd', from: 2 * HOUR, value: (step, z) => (step > HOUR && step < HOUR + minutes(10) ? 160 : 20) + 3 * z() }
    expect(told(pods(4 * HOUR, [...three(about(50)), canary]))).toEqual(['d up at 180 min'])
  })

  test('of a metric without a bad side may be at any level: load is spread as it comes', () => {
    const canary: Pod = { name: 'd', from: 2 * HOUR, value: about(150) }
    expect(told(pods(2.4 * HOUR, [...three(about(50)), canary], 'widgets'))).toEqual([])
  })

  test('is one of eighteen that join two: nobody is told of anything', () => {
    const two = three(about(50)).slice(0, 2)
    const fresh = Array.from({ length: 18 }, (_, i): Pod => ({ name: `n${i}`, from: 2 * HOUR + i, value: about(30 + i / 2) }))
    expect(told(pods(4 * HOUR, [...two, ...fresh]))).toEqual([])
  })
})

test('what was taken over is the same after a restart of the detector, wherever it happens', () => {
  const batches = pods(2.3 * HOUR, [...three(about(50)), { name: 'd', from: 2 * HOUR, value: about(150) }])
  const whole = new Watch()
  whole.feed(...batches)
  for (const cut of [2 * HOUR * 2 + 4, 2 * HOUR * 2 + 24, 2 * HOUR * 2 + 60]) {
    const first = new Watch()
    first.feed(...batches.slice(0, cut))
    const second = new Watch()
    second.detector.restore(first.detector.snapshot())
    second.feed(...batches.slice(cut))
    expect([...first.told, ...second.told]).toEqual(whole.told)
    expect(second.detector.snapshot()).toEqual(whole.detector.snapshot())
  }
})

test('what version 3 has learnt goes on: it is judged at once, and has nobody to ask', () => {
  const watch = new Watch()
  watch.detector.restore(inflateRawSync(Buffer.from(VERSION_3, 'base64')))
  const queue = { ...seriesOf('jobs_queue_depth', { queue: 'mail' }, 'mailer', 'a'), key: 'q', type: 'gauge' as const }
  watch.feed(
    ...story(80, STEP_MS, (step, timeMs) => (step < 60 ? [] : [[queue, timeMs, step < 66 ? 50 + ((7 * step) % 5) : 400]])).slice(60),
  )
  expect(watch.anomalies.map((one) => (one.startMs - START_MS) / STEP_MS)).toEqual([66])
  const again = new Watch()
  again.detector.restore(watch.detector.snapshot())
  expect(again.detector.snapshot()).toEqual(watch.detector.snapshot())
})
