/** F1 with a delay: by hand on short series, and the best threshold against trying all of them. */
import { describe, expect, test } from 'vitest'
import { bestDelayF1, delayF1, delaySeries, type LabelledScores } from '../../src/evaluate/delay-f1.ts'

/** One character a minute: labels `.` and `#`; scores a digit, `-` where nothing was measured, `n` for NaN. */
function series(labels: string, scores: string): LabelledScores {
  const rows = labels
    .split('')
    .map((mark, i) => [i * 60_000, mark === '#' ? 1 : 0, scores[i]!] as const)
    .filter(([, , score]) => score !== '-')
  return {
    timeMs: Float64Array.from(rows, ([at]) => at),
    label: Uint8Array.from(rows, ([, label]) => label),
    score: Float64Array.from(rows, ([, , score]) => (score === 'n' ? Number.NaN : Number(score))),
  }
}

describe('at a threshold of 5, noticed within two points of the start', () => {
  test.each([
    ['found at once: every point of it counts', '..####..', '00500000', 1, 1],
    ['found just in time', '..####..', '00005000', 1, 1],
    ['found too late: missed, and no false alarm either', '..####..', '00000500', 0, 0],
    ['one of two', '..####..##..', '005000000000', 1, 4 / 6],
    ['false alarms count one by one', '..####..', '95500005', 4 / 7, 1],
    ['a point that was not measured cuts a segment in two', '..##-###..', '0050-00000', 1, 2 / 5],
    ['the second part can be found on its own', '..##-###..', '0000-00500', 1, 3 / 5],
    ['what was not judged is no alarm', '..####..', 'nn5nnnnn', 1, 1],
    ['nothing found', '..####..', '00000000', 0, 0],
  ])('%s', (_, labels, scores, precision, recall) => {
    const figures = delayF1([delaySeries(series(labels, scores), 2)], 5)
    expect(figures.precision).toBeCloseTo(precision, 12)
    expect(figures.recall).toBeCloseTo(recall, 12)
    expect(figures.f1).toBeCloseTo(precision === 0 ? 0 : (2 * precision * recall) / (precision + recall), 12)
  })

  test('rows in any order are the same series', () => {
    const given = series('..####..##', '0050000600')
    const order = [3, 9, 0, 7, 1, 8, 2, 6, 5, 4]
    const shuffled: LabelledScores = {
      timeMs: Float64Array.from(order, (i) => given.timeMs[i]!),
      label: Uint8Array.from(order, (i) => given.label[i]!),
      score: Float64Array.from(order, (i) => given.score[i]!),
    }
    expect(delaySeries(shuffled, 2)).toEqual(delaySeries(given, 2))
  })

  test('the points of all series are pooled', () => {
    const all = [delaySeries(series('..####..', '00500000'), 2), delaySeries(series('.#......', '00555000'), 2)]
    expect(delayF1(all, 5)).toEqual({ precision: 4 / 7, recall: 4 / 5, f1: 8 / 12 })
  })
})

describe('the best threshold', () => {
  test('is as good as any', () => {
    let state = 7
    const next = () => (state = (state * 48_271) % 2_147_483_647)
    const all = Array.from({ length: 3 }, () => {
      const labels = Array.from({ length: 300 }, (_, i) => (i % 60 > 50 || i % 47 === 3 ? '#' : '.')).join('')
      const scores = Array.from(labels, (mark) => String(Math.min(9, (next() % 7) + (mark === '#' ? next() % 4 : 0)))).join('')
      return delaySeries(series(labels, scores), 2)
    })
    const tried = Array.from({ length: 11 }, (_, threshold) => delayF1(all, threshold).f1)
    const best = bestDelayF1(all)
    expect(best.f1).toBeCloseTo(Math.max(...tried), 12)
    expect(delayF1(all, best.threshold).f1).toBeCloseTo(best.f1, 12)
  })

  test('is out of reach when nothing is labelled', () => {
    expect(bestDelayF1([delaySeries(series('......', '123456'), 2)])).toEqual({ f1: 0, precision: 0, recall: 0, threshold: Infinity })
  })
})
