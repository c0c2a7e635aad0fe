/** Alarms against what people called wrong. */
import { expect, test } from 'vitest'
import { eventFigures, eventTally, stretchesOf, type Alarm, type Stretch } from '../../src/evaluate/events.ts'

const HOUR_MS = 3_600_000
/** Told ten minutes after its start. */
const alarm = (from: number, to: number): Alarm => ({ toldMs: from * HOUR_MS + 600_000, startMs: from * HOUR_MS, endMs: to * HOUR_MS })
const stretch = (from: number, to: number): Stretch => [from * HOUR_MS, to * HOUR_MS]

test.each<[string, Alarm[], Stretch[], Record<string, number>]>([
  ['alarm in the stretch', [alarm(11, 12)], [stretch(10, 14)], { precision: 1, recall: 1, medianDelayS: 4200, falseAlarmsPerSeriesDay: 0 }],
  [
    'alarm before → no stretch',
    [alarm(1, 2)],
    [stretch(10, 14)],
    { precision: 0, recall: 0, medianDelayS: Number.NaN, falseAlarmsPerSeriesDay: 0.5 },
  ],
  ['alarm that lasts into the stretch: no delay', [alarm(9, 11)], [stretch(10, 14)], { precision: 1, recall: 1, medianDelayS: 0 }],
  [
    'two alarms in one stretch: both right, the first is the delay',
    [alarm(12, 13), alarm(10, 11)],
    [stretch(10, 14)],
    { precision: 1, recall: 1, medianDelayS: 600 },
  ],
  ['one alarm over two stretches', [alarm(10, 30)], [stretch(10, 11), stretch(29, 31)], { precision: 1, recall: 1, medianDelayS: 300 }],
  [
    'half and half',
    [alarm(10, 11), alarm(40, 41)],
    [stretch(10, 11), stretch(20, 21)],
    { precision: 0.5, recall: 0.5, alarmsPerSeriesDay: 1 },
  ],
  ['silence', [], [stretch(10, 11)], { precision: Number.NaN, recall: 0, alarmsPerSeriesDay: 0 }],
  ['nothing labelled', [alarm(10, 11)], [], { precision: 0, recall: Number.NaN, falseAlarmsPerSeriesDay: 0.5 }],
])('%s', (_, alarms, stretches, expected) => {
  expect(eventFigures([eventTally({ alarms, stretches, watchedMs: 48 * HOUR_MS })])).toMatchObject(expected)
})

test('an alarm of one series says nothing about another', () => {
  const figures = eventFigures([
    eventTally({ alarms: [alarm(10, 11)], stretches: [], watchedMs: 24 * HOUR_MS }),
    eventTally({ alarms: [], stretches: [stretch(10, 11)], watchedMs: 24 * HOUR_MS }),
  ])
  expect(figures).toMatchObject({ alarms: 1, rightAlarms: 0, stretches: 1, caught: 0, seriesDays: 2 })
})

test('labelled rows in a row are one stretch', () => {
  const timeMs = Float64Array.of(0, 10, 20, 30, 40)
  expect(stretchesOf(timeMs, Uint8Array.of(1, 1, 0, 0, 1))).toEqual([
    [0, 10],
    [40, 40],
  ])
})
