/**
 * The three sets of single series: NAB by its own score, the KPI set by F1 with 7 points of delay, cloud monitoring by VUS-PR and by F1 with
 * 3. Every series goes through the detectors as they are shipped, row by row; one threshold serves a whole set. Three figures stand side by side:
 * with the threshold that suits these files best, with the one that was frozen before, and with ones chosen on other files of the set.
 */
import { detectConfig } from '../../src/detect/config.ts'
import { loadModels } from '../../src/detect/service/model-files.ts'
import { bestDelayF1, delayCounts, delayF1, delaySeries, type DelaySeries, type F1 } from '../../src/evaluate/delay-f1.ts'
import { eventTally, stretchesOf, type EventTally } from '../../src/evaluate/events.ts'
import { NAB_PROFILES, NabCorpus, nabScaled, probationRows, type NabFile, type NabProfileName } from '../../src/evaluate/nab.ts'
import { vusPr, windowRowsOf } from '../../src/evaluate/vus-pr.ts'
import { watchHistory, type WatchedHistory } from '../../src/watch-history.ts'
import { readCloud, readKpi, readNab, type LabelledSeries } from './data.ts'
import type { SeriesPicture } from './pictures.ts'
import { digits, shippedFigures, type SetResult, type Thresholds } from './result.ts'
import { halvings, robustThreshold, steadyThreshold } from './robust-threshold.ts'

export type UnivariateSet = 'nab' | 'kpi' | 'cloud'

export interface EvaluateOptions {
  readonly dir: string
  /** Take the thresholds that suit these files; else those that were frozen, where there are any. */
  readonly fit: boolean
  readonly frozen: Partial<Thresholds>
}

interface Watched {
  readonly series: LabelledSeries
  readonly history: WatchedHistory
}

/** Undefined where the set is not there. */
export function evaluateUnivariate(set: UnivariateSet, options: EvaluateOptions): SetResult | undefined {
  const read = { nab: readNab, kpi: readKpi, cloud: readCloud }[set]
  const config = detectConfig.parse({})
  const watch = { config, models: loadModels(config, { info: () => undefined }) }
  const known = read(options.dir)?.filter((series) => series.timeMs.length > 0)
  const watched = known?.map((series) => ({ series, history: watchHistory(series.name, series.timeMs, series.value, watch) }))
  if (watched === undefined || watched.length === 0) return undefined
  const { figures, fitted, pictures } = { nab: evaluateNab, kpi: evaluateKpi, cloud: evaluateCloud }[set](watched, options)
  const tallies = watched.map(tallyOf)
  return { figures: { ...figures, asShipped: shippedFigures(tallies) }, fitted, tallies, pictures }
}

function tallyOf({ series, history }: Watched): EventTally {
  const { timeMs, label, windows } = series
  const stretches = windows.length > 0 ? windows : stretchesOf(timeMs, label)
  return eventTally({ alarms: history.alarms, stretches, watchedMs: timeMs.at(-1)! - timeMs[0]! })
}

type SetFigures = Omit<SetResult, 'tallies'>

function evaluateNab(watched: readonly Watched[], { fit, frozen }: EvaluateOptions): SetFigures {
  const fileOf = ({ series, history }: Watched): NabFile => ({ timeMs: series.timeMs, windows: series.windows, score: history.incident })
  const corpus = new NabCorpus(watched.map(fileOf))
  const categories = [...new Set(watched.map(({ series }) => series.category))]
  const folds = categories.map((category) => ({
    rest: new NabCorpus(watched.filter(({ series }) => series.category !== category).map(fileOf)),
    left: new NabCorpus(watched.filter(({ series }) => series.category === category).map(fileOf)),
  }))
  const names = Object.keys(NAB_PROFILES) as NabProfileName[]
  const perProfile = <T>(of: (name: NabProfileName) => T) =>
    Object.fromEntries(names.map((name) => [name, of(name)])) as Record<NabProfileName, T>
  const best = perProfile((name) => corpus.best(NAB_PROFILES[name]).threshold)
  const fitted = perProfile((name) => steadyThreshold(corpus, NAB_PROFILES[name]))
  const used = (fit ? undefined : frozen.nab) ?? fitted
  const scores = (thresholds: Readonly<Record<NabProfileName, number>>) =>
    perProfile((name) => digits(corpus.score(thresholds[name], NAB_PROFILES[name])))
  const crossValidated = perProfile((name) => {
    const profile = NAB_PROFILES[name]
    // One category says nothing of another.
    if (folds.length < 2) return Number.NaN
    return digits(
      nabScaled(
        folds.map(({ rest, left }) => left.raw(steadyThreshold(rest, profile), profile)),
        profile,
      ),
    )
  })
  const perFile = Object.fromEntries(
    watched.map((one) => {
      const { detections } = pictureOf(one, one.history.incident, used.standard, probationRows(one.series.timeMs.length))
      const { raw, windows } = new NabCorpus([fileOf(one)]).raw(used.standard, NAB_PROFILES.standard)
      return [one.series.name, { score: digits(raw), windows, detections: detections.length }]
    }),
  )
  return {
    figures: {
      ...scores(used),
      threshold: used.standard,
      thresholds: used,
      files: watched.length,
      inSample: scores(best),
      ...((fit || frozen.nab) && { frozen: scores(used) }),
      crossValidated: { by: 'category', ...crossValidated },
      perFile,
    },
    fitted: { nab: fitted },
    pictures: watched.map((one) => pictureOf(one, one.history.incident, used.standard, probationRows(one.series.timeMs.length))),
  }
}

function evaluateKpi(watched: readonly Watched[], { fit, frozen }: EvaluateOptions): SetFigures {
  const series = watched.map(({ series: one, history }) => delaySeries({ ...one, score: history.onset }, 7))
  const halves = halvings(series.length)
  const { threshold: fitted, heldOut } = robustThreshold(series, halves)
  const used = (fit ? undefined : frozen.kpi) ?? fitted
  const perFile = Object.fromEntries(watched.map(({ series: { name } }, i) => [name, countsJson([series[i]!], used)]))
  return {
    figures: {
      ...f1Json(delayF1(series, used)),
      threshold: used,
      files: watched.length,
      inSample: f1Json(bestDelayF1(series)),
      ...((fit || frozen.kpi !== undefined) && { frozen: f1Json(delayF1(series, used)) }),
      crossValidated: { by: `half of the files, ${halves.length / 2} times`, ...f1Json(heldOut) },
      perFile,
    },
    fitted: { kpi: fitted },
    pictures: watched.map((one) => pictureOf(one, one.history.onset, used, 0)),
  }
}

function evaluateCloud(watched: readonly Watched[], { fit, frozen }: EvaluateOptions): SetFigures {
  const series = watched.map(({ series: one, history }) => delaySeries({ ...one, score: history.onset }, 3))
  const categories = [...new Set(watched.map((one) => one.series.category))]
  const folds = categories.map((category) => watched.flatMap((one, i) => (one.series.category === category ? [i] : [])))
  const { threshold: fitted, heldOut } = robustThreshold(series, folds)
  const used = (fit ? undefined : frozen.cloud) ?? fitted
  const volumes = watched.map(({ series: one, history }) => vusPr(one.label, history.point, windowRowsOf(one.value)))
  const labelled = volumes.filter((volume) => !Number.isNaN(volume))
  const { f1, precision, recall } = f1Json(delayF1(series, used))
  return {
    figures: {
      vusPr: digits(labelled.reduce((sum, volume) => sum + volume, 0) / labelled.length),
      f1,
      precision,
      recall,
      threshold: used,
      files: watched.length,
      filesWithLabels: labelled.length,
      inSample: f1Json(bestDelayF1(series)),
      ...((fit || frozen.cloud !== undefined) && { frozen: f1Json(delayF1(series, used)) }),
      crossValidated: { by: 'category', ...f1Json(heldOut) },
      perFile: Object.fromEntries(
        watched.map(({ series: { name } }, i) => [name, { vusPr: digits(volumes[i]!), ...countsJson([series[i]!], used) }]),
      ),
    },
    fitted: { cloud: fitted },
    pictures: watched.map((one, i) => ({ ...pictureOf(one, one.history.onset, used, 0), value: digits(volumes[i]!) })),
  }
}

/** Positions as shares of the rows. Detections that follow each other are one. */
function pictureOf({ series, history }: Watched, score: Float64Array, threshold: number, from: number): SeriesPicture {
  const { name, timeMs, label, windows } = series
  const [firstMs, spanMs] = [timeMs[0]!, timeMs.at(-1)! - timeMs[0]!]
  const place = (atMs: number) => Number(((atMs - firstMs) / spanMs).toFixed(4))
  const stretches = windows.length > 0 ? windows : stretchesOf(timeMs, label)
  const met = Uint8Array.from(score, (value, i) => (i >= from && value >= threshold ? 1 : 0))
  return {
    name,
    from: place(timeMs[from] ?? firstMs),
    stretches: stretches.map(([a, b]) => [place(a), place(b)]),
    detections: stretchesOf(timeMs, met).map(([a, b]) => [place(a), place(b)]),
    alarms: history.alarms.map((alarm) => place(alarm.toldMs)),
  }
}

function countsJson(series: readonly DelaySeries[], threshold: number) {
  const { hits, falseAlarms, labelled } = delayCounts(series, threshold)
  return { caughtPoints: hits, missedPoints: labelled - hits, inventedPoints: falseAlarms, f1: digits(delayF1(series, threshold).f1) }
}

const f1Json = ({ f1, precision, recall }: F1) => ({ f1: digits(f1), precision: digits(precision), recall: digits(recall) })
