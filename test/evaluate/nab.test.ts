/** NAB's score: by hand on small files, and Numenta's own figures for a published detector. */
import { describe, expect, test } from 'vitest'
import { NAB_PROFILES, NabCorpus, nabScaled, probationRows, type NabFile, type NabProfileName } from '../../src/evaluate/nab.ts'
import { readTable } from './published.ts'

/** A row a minute, `rows` of them; scores and windows are given by row. */
function file(rows: number, scores: Readonly<Record<number, number>>, ...windows: [number, number][]): NabFile {
  const timeMs = Float64Array.from({ length: rows }, (_, i) => i * 60_000)
  const score = new Float64Array(rows)
  for (const [row, value] of Object.entries(scores)) score[Number(row)] = value
  return { timeMs, score, windows: windows.map(([a, b]) => [a * 60_000, b * 60_000]) }
}

const { standard, lowFP, lowFN } = NAB_PROFILES
const sigmoid = (x: number) => 2 / (1 + Math.exp(5 * x)) - 1

describe('what detections are worth', () => {
  test.each<[string, NabFile, number]>([
    ['nothing found', file(200, {}, [100, 109]), 0],
    ['found at the first row of its window', file(200, { 100: 1 }, [100, 109]), 100],
    ['found at the last row: just above nothing', file(200, { 109: 1 }, [100, 109]), 50 * (1 + sigmoid(-1 / 10) / sigmoid(-1))],
    ['found twice: the first counts', file(200, { 100: 1, 105: 1 }, [100, 109]), 100],
    ['a false alarm before any window', file(200, { 100: 1, 50: 1 }, [100, 109]), 100 - 50 * 0.11],
    ['a false alarm just behind a window: half price', file(200, { 100: 1, 112: 1 }, [100, 109]), 100 + 50 * 0.11 * sigmoid(3 / 9)],
    ['a false alarm far behind a window', file(200, { 100: 1, 190: 1 }, [100, 109]), 100 - 50 * 0.11],
    ['the beginning is not judged', file(200, { 100: 1, 29: 1, 30: 0 }, [100, 109]), 100],
    ['the row after the beginning is', file(200, { 100: 1, 30: 1 }, [100, 109]), 100 - 50 * 0.11],
    ['a window that began before we judge', file(200, { 25: 1, 34: 1 }, [25, 34]), 50 * (1 + sigmoid(-1 / 10) / sigmoid(-1))],
    ['not judged: NaN is no detection', file(200, { 100: Number.NaN, 50: Number.NaN }, [100, 109]), 0],
    ['one of two found', file(300, { 100: 1 }, [100, 109], [200, 209]), 50],
  ])('%s', (_, given, expected) => {
    expect(new NabCorpus([given]).score(0.5, standard)).toBeCloseTo(expected, 10)
  })

  test('profiles weigh a false alarm and a miss differently', () => {
    const corpus = new NabCorpus([file(300, { 100: 1, 50: 1 }, [100, 109], [200, 209])])
    const raw = (profile: typeof standard | typeof lowFP | typeof lowFN) => corpus.raw(0.5, profile).raw
    expect(raw(standard)).toBeCloseTo(1 - 0.11 - 1, 10)
    expect(raw(lowFP)).toBeCloseTo(1 - 0.22 - 1, 10)
    expect(raw(lowFN)).toBeCloseTo(1 - 0.11 - 2, 10)
  })

  test('the beginning is 15 % of the rows and never more than 750', () => {
    expect([19, 4032, 5000, 22_695].map(probationRows)).toEqual([2, 604, 750, 750])
  })

  test('a clock that was turned back: the first row of a time bounds the window', () => {
    const given = file(200, { 112: 1 }, [100, 109])
    const timeMs = given.timeMs.map((at, i) => (i >= 110 && i < 120 ? at - 600_000 : at))
    expect(new NabCorpus([{ ...given, timeMs }]).raw(0.5, standard).raw).toBeCloseTo(-1 + 0.11 * sigmoid(3 / 9), 10)
  })

  test('files without windows have no score of their own but their false alarms count in the corpus', () => {
    const quiet = new NabCorpus([file(200, { 100: 1 })]).raw(0.5, standard)
    const found = new NabCorpus([file(200, { 100: 1 }, [100, 109])]).raw(0.5, standard)
    expect(nabScaled([quiet], standard)).toBeNaN()
    expect(nabScaled([quiet, found], standard)).toBeCloseTo(100 - 50 * 0.11, 10)
  })
})

describe('the best threshold', () => {
  /** Deterministic scores with many ties. */
  const noisy = [1, 2, 3].map((seed) => {
    const given = file(400, {}, [120, 139], [260, 300], [310, 319])
    let state = seed
    given.score.forEach((_, i) => {
      state = (state * 48_271) % 2_147_483_647
      given.score[i] = (state % 40) + (i >= 125 && i < 140 ? 15 : 0)
    })
    return given
  })

  test.each(Object.keys(NAB_PROFILES) as NabProfileName[])('%s: none of all the scores does better', (name) => {
    const corpus = new NabCorpus(noisy)
    const all = Array.from({ length: 60 }, (_, threshold) => corpus.score(threshold, NAB_PROFILES[name]))
    const best = corpus.best(NAB_PROFILES[name])
    expect(best.score).toBeCloseTo(Math.max(...all, 0), 10)
    expect(corpus.score(best.threshold, NAB_PROFILES[name])).toBeCloseTo(best.score, 10)
  })

  test('nothing pays: it is out of reach and the score is that of silence', () => {
    const scores = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [40 + i, 2]))
    const best = new NabCorpus([file(200, { ...scores, 109: 1 }, [100, 109])]).best(standard)
    expect(best).toEqual({ threshold: Infinity, score: 0 })
  })
})

describe('a published detector on files of the benchmark', () => {
  const windows: Readonly<Record<string, [number, number][]>> = {
    'realAdExchange/exchange-4_cpc_results.csv': [
      [1310710501, 1310904901],
      [1312182901, 1312384501],
      [1313990101, 1314184501],
    ],
    'realKnownCause/rogue_agent_key_hold.csv': [
      [1405398900, 1405430700],
      [1405576200, 1405665900],
    ],
    'realTraffic/occupancy_t4013.csv': [
      [1442365140, 1442409540],
      [1442449200, 1442495400],
    ],
  }

  test.each([
    ['realAdExchange/exchange-4_cpc_results.csv', 0.0725680870055],
    ['realKnownCause/rogue_agent_key_hold.csv', -1.52739941276],
    ['realTraffic/occupancy_t4013.csv', 1.7360251845],
  ])('%s: as Numenta scored it', (name, published) => {
    const rows: string[][] = []
    let current = ''
    for (const [named, seconds, score] of readTable('nab-random-cut-forest.csv.gz')) {
      if (named !== '') current = named!
      if (current === name) rows.push([seconds!, score!])
    }
    const given: NabFile = {
      timeMs: Float64Array.from(rows, ([seconds]) => Number(seconds) * 1000),
      score: Float64Array.from(rows, ([, score]) => Number(score)),
      windows: windows[name]!.map(([from, to]) => [from * 1000, to * 1000]),
    }
    expect(new NabCorpus([given]).raw(0.453918457031, standard).raw).toBeCloseTo(published, 9)
  })
})
