/**
 * How many requests a service serves: next to none where there were many, and far more than usual. Counts vary more than luck makes them, so
 * the spread is learnt on a scale where luck alone would be 1. What happens every day at the same hour is no news; neither pages.
 */
import type { Emit } from '../detector.ts'
import type { Observation } from '../episode.ts'
import { countOf, Level, stabilised } from '../level.ts'
import { Precedent } from './precedent.ts'
import { countZ, reckoning } from '../reckon.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import { LEARNT, subjectOf } from './span-role.ts'
import type { Role, SpansShared } from './span-role.ts'

const GONE = 0.1
const SURGE = 3
/** On the scale of counts: what differs by less is the same. */
const SLACK = 2

export class SpanTraffic {
  readonly #key: string
  readonly #shared: SpansShared
  readonly #level = new Level()
  readonly #lows = new Precedent()
  readonly #highs = new Precedent()

  constructor(key: string, shared: SpansShared) {
    this.#key = `traffic\0${key}`
    this.#shared = shared
  }

  judge(startMs: number, requests: number, role: Role, warm: boolean, emit: Emit): void {
    const { config, board, episodes } = this.#shared
    const value = stabilised(requests)
    const usual = countOf(this.#level.location)
    const spread = this.#level.spread(1)
    const distance = countZ(requests, usual, spread)
    const judged = warm && this.#level.count >= LEARNT
    if (judged) board.observe(role.service, 'traffic', distance)
    const isLow = distance < 0
    const isFar = isLow ? requests <= GONE * usual : requests >= SURGE * usual
    let score = judged ? Math.min(isFar ? Infinity : 0.5, Math.abs(distance) / config.trafficThreshold) : NaN
    if (score >= 1) {
      const [precedent, far] = isLow ? [this.#lows, -value] : [this.#highs, value]
      const isUsual = precedent.isUsual(startMs, far, SLACK)
      precedent.remember(startMs, far)
      if (isUsual) score = 0.5
    }
    this.#level.learn(value, 1, score >= 1, config.absorbMs / config.windowMs)
    const perSecond = 1000 / config.windowMs
    const seen: Observation = {
      timeMs: startMs,
      observed: requests * perSecond,
      expected: usual * perSecond,
      low: GONE * usual * perSecond,
      high: Math.max(SURGE * usual, countOf(this.#level.location + config.trafficThreshold * this.#level.spread(1))) * perSecond,
      score,
      direction: isLow ? 'down' : 'up',
      volume: requests,
    }
    const explain = (worst: Observation): string[] => [
      `${role.service} served ${worst.volume} requests in ${config.windowMs / 1000} s; about ${Math.round(worst.expected / perSecond)} were expected.`,
    ]
    const reckon = () =>
      reckoning('traffic', [
        ['requests', requests],
        ['expected requests', usual],
        ['spread', spread],
        ['threshold', config.trafficThreshold],
      ])
    episodes.observe(this.#key, subjectOf(role, 'rate', 'traffic', 'requests/s', false), seen, explain, emit, reckon)
  }

  forget(atMs: number, emit: Emit): void {
    this.#shared.episodes.end(this.#key, atMs, emit)
    this.#shared.episodes.forget(this.#key)
  }

  snapshotLevel(to: SnapshotWriter): void {
    this.#level.snapshot(to)
  }

  restoreLevel(from: SnapshotReader): void {
    this.#level.restore(from)
  }

  snapshot(to: SnapshotWriter): void {
    this.#lows.snapshot(to)
    this.#highs.snapshot(to)
  }

  restore(from: SnapshotReader): void {
    this.#lows.restore(from)
    this.#highs.restore(from)
  }
}
