/** Requests of remote write 2.0, good and bad, with what is answered; sent to Prometheus' own receiver as well, by `npm run test:senders`. */
import { histogramOf, requestOf } from './remote-write-oracle.ts'
import type { RequestObject, SeriesObject } from './remote-write-oracle.ts'

/** `counts`: samples, histograms and exemplars written. */
export type RemoteWrite2Case = [name: string, request: RequestObject, status: number, counts: string, text?: RegExp]

/** The bytes of a stale marker, as a number. */
export const STALE = Buffer.from('020000000000f07f', 'hex').readDoubleLE()

export function remoteWrite2At(nowMs: number) {
  const T = nowMs - 1000
  const one = { samples: [{ value: 1, timestamp: T }] }
  const good: SeriesObject = { labels: [['__name__', 'good']], ...one }
  const named = (name: string, rest: object = one): SeriesObject => ({ labels: [['__name__', name]], ...rest })
  const refs = (labelsRefs: number[], symbols = ['', '__name__', 'a', 'b']): RequestObject => ({
    symbols,
    timeseries: [...requestOf([good], symbols).timeseries, { labelsRefs, ...one }],
  })
  const histogram = histogramOf([0.1, 0.2, 0.2, 3], 3, T)
  const withHistogram = (change: object) => requestOf([good, named('h', { histograms: [{ ...histogram, ...change }] })])
  const cases: readonly RemoteWrite2Case[] = [
    ['a sample', requestOf([good]), 204, '1 0 0'],
    ['nothing at all', { symbols: [], timeseries: [] }, 204, '0 0 0'],
    ['symbols without series', requestOf([], ['', 'x']), 204, '0 0 0'],
    [
      'samples, histograms and exemplars',
      requestOf([
        named('a', { samples: [1, 2].map((value) => ({ value, timestamp: T + value })), exemplars: [{ value: 1, timestamp: T }] }),
        named('h', { histograms: [histogram], exemplars: [{ labelsRefs: [1, 2], value: 1, timestamp: T }] }),
      ]),
      204,
      '2 1 2',
    ],
    [
      'labels in any order',
      requestOf([
        {
          labels: [
            ['z', '1'],
            ['__name__', 'a'],
            ['b', '2'],
          ],
          ...one,
        },
      ]),
      204,
      '1 0 0',
    ],
    [
      'UTF-8 names',
      requestOf([
        {
          labels: [
            ['__name__', 'µ.latency/p 99'],
            ['größe.x', 'ü\n'],
          ],
          ...one,
        },
      ]),
      204,
      '1 0 0',
    ],
    [
      'a label without a value',
      requestOf([
        {
          labels: [
            ['__name__', 'a'],
            ['b', ''],
          ],
          ...one,
        },
      ]),
      204,
      '1 0 0',
    ],
    [
      'special numbers',
      requestOf([named('a', { samples: [NaN, Infinity, -Infinity, STALE].map((value) => ({ value, timestamp: T })) })]),
      204,
      '4 0 0',
    ],
    [
      'start timestamps of rc.3 and rc.4',
      requestOf([named('a', { samples: [{ value: 1, timestamp: T, startTimestamp: T - 5 }], createdTimestamp: T - 5 })]),
      204,
      '1 0 0',
    ],
    ['the same sample twice', requestOf([good, good]), 204, '2 0 0'],
    [
      'a sample before the one before',
      requestOf([named('a', { samples: [T, T - 60_000].map((timestamp) => ({ value: 1, timestamp })) })]),
      204,
      '2 0 0',
    ],
    ['no name', requestOf([good, { labels: [['job', 'x']], ...one }]), 400, '1 0 0', /1 no-name/],
    ['an empty name', requestOf([good, named('')]), 400, '1 0 0', /1 no-name/],
    ['no labels', requestOf([good, { labels: [], ...one }]), 400, '1 0 0', /1 no-name/],
    [
      'an empty label name',
      requestOf([
        good,
        {
          labels: [
            ['__name__', 'a'],
            ['', 'x'],
          ],
          ...one,
        },
      ]),
      400,
      '1 0 0',
      /1 empty-label-name/,
    ],
    [
      'a label twice',
      requestOf([
        good,
        {
          labels: [
            ['__name__', 'a'],
            ['b', 'x'],
            ['b', 'y'],
          ],
          ...one,
        },
      ]),
      400,
      '1 0 0',
      /1 duplicate-label/,
    ],
    [
      'the name twice',
      requestOf([
        good,
        {
          labels: [
            ['__name__', 'a'],
            ['__name__', 'a'],
          ],
          ...one,
        },
      ]),
      400,
      '1 0 0',
      /1 duplicate-label/,
    ],
    ['an odd number of references', refs([1, 2, 3]), 400, '1 0 0', /1 odd-label-refs/],
    ['a reference beyond the symbols', refs([1, 999]), 400, '1 0 0', /1 label-ref-out-of-range/],
    ['the largest reference', refs([1, 4_294_967_295]), 400, '1 0 0', /1 label-ref-out-of-range/],
    ['neither samples nor histograms', requestOf([good, named('a', {})]), 400, '1 0 0', /1 empty-series/],
    ['nothing but exemplars', requestOf([good, named('a', { exemplars: [{ value: 1, timestamp: T }] })]), 204, '1 0 1'],
    [
      'an exemplar with an odd number of references',
      requestOf([{ ...good, exemplars: [{ labelsRefs: [1], value: 1 }] }]),
      400,
      '1 0 0',
      /exemplar-odd-refs/,
    ],
    [
      'an exemplar with a reference beyond the symbols',
      requestOf([{ ...good, exemplars: [{ labelsRefs: [1, 99], value: 1 }] }]),
      400,
      '1 0 0',
      /exemplar-ref/,
    ],
    [
      'a sample far ahead',
      requestOf([good, named('a', { samples: [{ value: 1, timestamp: nowMs + 3_600_000 }, ...one.samples] })]),
      400,
      '2 0 0',
      /1 too-far-ahead/,
    ],
    ['a histogram far ahead', withHistogram({ timestamp: nowMs + 3_600_000 }), 400, '1 0 0', /1 too-far-ahead/],
    ['an integer histogram', withHistogram({}), 204, '1 1 0'],
    [
      'a float histogram',
      withHistogram({
        countInt: undefined,
        countFloat: 4,
        zeroCountInt: undefined,
        zeroCountFloat: 0.5,
        positiveDeltas: [],
        positiveSpans: [{ offset: 0, length: 2 }],
        positiveCounts: [1.25, 2.25],
      }),
      204,
      '1 1 0',
    ],
    [
      'a histogram of custom buckets',
      withHistogram({
        schema: -53,
        zeroThreshold: 0,
        customValues: [1, 2, 5],
        positiveSpans: [{ offset: 1, length: 3 }],
        positiveDeltas: [1, 1, -1],
      }),
      204,
      '1 1 0',
    ],
    [
      'a histogram with negative observations',
      requestOf([good, named('h', { histograms: [histogramOf([-1, -2, 0, 3], 3, T)] })]),
      204,
      '1 1 0',
    ],
    ['a histogram that saw NaN', withHistogram({ sum: NaN, countInt: 9 }), 204, '1 1 0'],
    ['a stale histogram', withHistogram({ sum: STALE, countInt: 0, positiveSpans: [], positiveDeltas: [] }), 204, '1 1 0'],
    ['a gauge histogram', withHistogram({ resetHint: 3 }), 204, '1 1 0'],
    ['a histogram of nothing', withHistogram({ sum: 0, countInt: 0, positiveSpans: [], positiveDeltas: [] }), 204, '1 1 0'],
    ['a histogram that counts more than its buckets', withHistogram({ countInt: 9 }), 400, '1 0 0', /1 histogram-count-mismatch/],
    ['a histogram that counts less than its buckets', withHistogram({ countInt: 1, sum: NaN }), 400, '1 0 0', /1 histogram-count-mismatch/],
    [
      'a histogram with a negative bucket',
      withHistogram({ positiveSpans: [{ offset: 0, length: 2 }], positiveDeltas: [5, -6] }),
      400,
      '1 0 0',
      /1 histogram-negative-count/,
    ],
    [
      'a histogram with spans that overlap',
      withHistogram({
        positiveSpans: [
          { offset: 0, length: 1 },
          { offset: -1, length: 1 },
        ],
        positiveDeltas: [1, 2],
      }),
      400,
      '1 0 0',
      /1 histogram-spans/,
    ],
    [
      'a histogram with longer spans than buckets',
      withHistogram({ positiveSpans: [{ offset: 0, length: 4_000_000_000 }] }),
      400,
      '1 0 0',
      /1 histogram-spans/,
    ],
    ['a histogram with more buckets than spans', withHistogram({ positiveSpans: [] }), 400, '1 0 0', /1 histogram-spans/],
    ['a histogram of an unknown schema', withHistogram({ schema: -9 }), 400, '1 0 0', /1 histogram-schema/],
    [
      'custom bounds that do not ascend',
      withHistogram({
        schema: -53,
        zeroThreshold: 0,
        customValues: [2, 1],
        positiveSpans: [{ offset: 0, length: 1 }],
        positiveDeltas: [4],
      }),
      400,
      '1 0 0',
      /1 histogram-custom-bounds/,
    ],
    [
      'more custom buckets than bounds',
      withHistogram({ schema: -53, zeroThreshold: 0, customValues: [1], positiveSpans: [{ offset: 2, length: 1 }], positiveDeltas: [4] }),
      400,
      '1 0 0',
      /1 histogram-custom-bounds/,
    ],
    [
      '65 labels',
      requestOf([good, { labels: [['__name__', 'a'], ...Array.from({ length: 64 }, (_, i) => [`l${i}`, 'x'] as const)], ...one }]),
      400,
      '1 0 0',
      /1 too-many-labels/,
    ],
    ['a thousand references', refs(Array.from({ length: 1000 }, () => 1)), 400, '1 0 0', /1 too-many-labels/],
    ['a value too long', requestOf([good, named('v'.repeat(3000))]), 400, '1 0 0', /1 label-value-too-long/],
    ['a value too long to be kept', requestOf([good, named('v'.repeat(30_000))]), 400, '1 0 0', /1 label-value-too-long/],
    [
      'a first symbol that is not empty',
      { symbols: ['x', '__name__', 'a'], timeseries: [{ labelsRefs: [1, 2], ...one }] },
      400,
      '0 0 0',
      /first symbol/,
    ],
    [
      'several things wrong',
      requestOf([good, named(''), named('a', {}), good]),
      400,
      '2 0 0',
      /^2 rejected \(1 no-name, 1 empty-series\); everything else was written/,
    ],
  ]
  return { T, one, good, named, histogram, cases }
}
