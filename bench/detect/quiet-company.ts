/**
 * The log lines of a company in which nothing is wrong, from a seed: services with kinds of lines whose rates fall off over five orders of magnitude,
 * a day and a weekend, clumps, heartbeats, jobs every quarter of an hour, every hour and every night, deploys that add and take out kinds of lines,
 * numbers in the lines. And faults that can be put into it. Ten seconds at a time.
 */
import type { Change, LogBatch } from '../../src/model.ts'

export const WINDOW_MS = 10_000
/** A Monday, 00:00 UTC. */
export const FROM_MS = 1_699_833_600_000
const DAY_MS = 86_400_000
const WORDS =
  'order payment cart stock user session cache token queue batch page index row lock lease shard invoice refund parcel route label price coupon basket review rating vendor catalog image thumb mail text push alert report export import sync merge split commit journal snapshot replica leader follower quorum cursor offset topic group member broker stream window bucket object blob volume mount node pod probe quota limit budget policy rule role grant secret key cert chain proof hash digest nonce salt seed sample metric trace span event signal timer clock tick retry backoff breaker pool worker thread fiber task job step stage phase plan draft order2 archive restore migrate upgrade'.split(
    ' ',
  )
const VERBS =
  'accepted finished updated loaded stored removed checked skipped joined left opened closed sent received parsed built flushed drained renewed expired'.split(
    ' ',
  )
export const [INFO, WARN, ERROR] = [9, 13, 17]

export type FaultKind =
  | 'heartbeat stops'
  | 'line stops'
  | 'nightly job missed'
  | 'error burst'
  | 'severity shift'
  | 'slow values'
  | 'server errors'
  | 'new error'

export interface Fault {
  readonly kind: FaultKind
  readonly service: string
  readonly fromMs: number
  readonly toMs: number
  /** What the subject of an anomaly about it says, among others. */
  readonly words: string
}

interface Kind {
  readonly words: string
  severity: number
  /** Lines per window at the mean of the day; 0: it has its own times. */
  rate: number
  /** Shape of the gamma that multiplies the rate: small is bursty. */
  readonly shape: number
  readonly numbers: 'none' | 'id' | 'ms' | 'status' | 'counter'
  readonly typicalMs: number
  /** Lines that come at once. */
  readonly clump: number
  readonly followsDay: boolean
  everyMs: number
  offsetMs: number
  lastsMs: number
  perWindow: number
  next: number
  gone: boolean
}

interface Service {
  readonly name: string
  readonly kinds: Kind[]
  readonly peakHour: number
  readonly weekend: number
  load: number
  version: number
  readonly deploys: number[]
  counter: number
}

export class QuietCompany {
  readonly faults: Fault[] = []
  readonly services: Service[] = []
  readonly #random: () => number
  #word = 0

  /** `days`: how long it is going to be watched, for the faults. */
  constructor(seed: number, services: number, days: number, withFaults: boolean) {
    this.#random = mulberry(seed)
    for (let i = 0; i < services; i++) this.services.push(this.#service(i, days))
    if (withFaults) this.#planFaults(days)
  }

  /** What is logged in the window that begins then, in order of service; and the deploys that are told. */
  window(startMs: number): { readonly logs: LogBatch; readonly changes: Change[] } {
    const sources: LogBatch['sources'][number][] = []
    const rows: { source: number; severity: number; body: string }[] = []
    const changes: Change[] = []
    for (const service of this.services) {
      if (service.deploys.length > 0 && service.deploys[0]! <= startMs) this.#deploy(service, startMs, changes, rows, sources.length)
      sources.push({ service: service.name, instance: `${service.name}-0`, version: `1.${service.version}.0` })
      this.#speak(service, startMs, rows, sources.length - 1)
    }
    const logs: LogBatch = {
      kind: 'logs',
      rows: rows.length,
      sources,
      sourceIndex: Uint32Array.from(rows, ({ source }) => source),
      timeMs: new Float64Array(rows.length).fill(startMs + WINDOW_MS / 2),
      severity: Uint8Array.from(rows, ({ severity }) => severity),
      body: rows.map(({ body }) => body),
      traceId: rows.map(() => ''),
    }
    return { logs, changes }
  }

  #service(number: number, days: number): Service {
    const random = this.#random
    const kinds: Kind[] = []
    const count = 30 + Math.floor(random() * 171)
    const busiest = 2 + random() * 4
    for (let i = 0; i < count; i++) {
      const isClumpy = random() < 0.15
      const rate = (busiest * (0.5 + random())) / (i + 1) ** 1.6
      const kind = this.#kind(i < 5 ? INFO : random() < 0.04 ? ERROR : random() < 0.08 ? WARN : INFO, rate)
      kinds.push(isClumpy ? { ...kind, clump: 5 + Math.floor(random() * 30), rate: rate / 20 } : kind)
    }
    for (const everyMs of [10_000, 30_000, 60_000].slice(0, 1 + Math.floor(random() * 3))) kinds.push(this.#job(everyMs, 0, 1))
    kinds.push(this.#job(900_000, 20_000, 3), this.#job(3_600_000, 60_000, 1 + random() * 12))
    const nightly = this.#job(DAY_MS, 900_000, 10 + random() * 10)
    kinds.push(nightly)
    // The same job also makes one of the ordinary lines frequent.
    const common = kinds[2]!
    Object.assign(common, { everyMs: DAY_MS, offsetMs: nightly.offsetMs, lastsMs: 900_000, perWindow: 30 })
    const deploys: number[] = []
    for (let day = random() * 4; day < days; day += 1 + random() * 6) deploys.push(FROM_MS + Math.floor(day * 24) * 3_600_000 + 9 * 60_000)
    return {
      name: `service-${number}`,
      kinds,
      peakHour: 11 + random() * 8,
      weekend: 0.3 + random() * 0.6,
      load: 0,
      version: 1,
      deploys,
      counter: 1,
    }
  }

  #kind(severity: number, rate: number): Kind {
    const random = this.#random
    const chance = random()
    return {
      words: this.#words(severity),
      severity,
      rate,
      shape: random() < 0.3 ? 0.5 + random() : 3 + random() * 20,
      numbers: chance < 0.35 ? 'ms' : chance < 0.5 ? 'id' : chance < 0.6 ? 'status' : chance < 0.65 ? 'counter' : 'none',
      typicalMs: 5 * 10 ** (random() * 2),
      clump: 1,
      followsDay: random() < 0.85,
      everyMs: 0,
      offsetMs: 0,
      lastsMs: 0,
      perWindow: 0,
      next: 0,
      gone: false,
    }
  }

  #job(everyMs: number, lastsMs: number, perWindow: number): Kind {
    const kind = this.#kind(INFO, 0)
    return { ...kind, everyMs, lastsMs, perWindow, offsetMs: Math.floor(this.#random() * Math.min(everyMs, 6 * 3_600_000)) }
  }

  #words(severity: number): string {
    const random = this.#random
    const word = () => WORDS[Math.floor(random() * WORDS.length)]!
    // A word of its own keeps kinds apart that are meant to be different.
    const own = `${word()}${letters(this.#word++)}`
    return `${own} ${word()} ${VERBS[Math.floor(random() * VERBS.length)]!} ${word()} ${severity === ERROR ? 'failed' : 'done'}`
  }

  #speak(service: Service, startMs: number, rows: { source: number; severity: number; body: string }[], source: number): void {
    const random = this.#random
    service.load = 0.995 * service.load + 0.02 * normal(random)
    const hour = (startMs % DAY_MS) / 3_600_000
    const isWeekend = Math.floor((startMs - FROM_MS) / DAY_MS) % 7 >= 5
    const day = (1 + 0.75 * Math.cos(((hour - service.peakHour) / 12) * Math.PI)) * (isWeekend ? service.weekend : 1)
    const load = day * Math.exp(service.load)
    const faults = this.faults.filter((fault) => fault.service === service.name && fault.fromMs <= startMs && startMs < fault.toMs)
    for (const kind of service.kinds) {
      if (kind.gone) continue
      const fault = faults.find(({ words }) => words === kind.words)
      let lines = this.#lines(kind, kind.followsDay ? load : 1, startMs)
      let severity = kind.severity
      if (fault !== undefined) {
        if (fault.kind === 'heartbeat stops' || fault.kind === 'line stops' || fault.kind === 'nightly job missed') lines = 0
        else if (fault.kind === 'error burst') lines += 8 + Math.floor(random() * 20)
        else if (fault.kind === 'severity shift') severity = ERROR
      }
      for (let i = 0; i < lines; i++) rows.push({ source, severity, body: this.#line(service, kind, load, fault) })
    }
    for (const fault of faults)
      if (fault.kind === 'new error' && random() < 0.5) rows.push({ source, severity: ERROR, body: `${fault.words} 17` })
  }

  #lines(kind: Kind, load: number, startMs: number): number {
    const random = this.#random
    let lines = 0
    if (kind.everyMs > 0) {
      const since = (((startMs - kind.offsetMs) % kind.everyMs) + kind.everyMs) % kind.everyMs
      if (since < Math.max(WINDOW_MS, kind.lastsMs)) lines += kind.perWindow <= 1 ? 1 : poisson(random, kind.perWindow)
    }
    if (kind.rate === 0) return lines
    if (kind.rate < 0.2) {
      // Rare ones know when they come next.
      if (kind.next === 0) kind.next = startMs + (exponential(random) * WINDOW_MS) / kind.rate
      while (kind.next < startMs + WINDOW_MS) {
        if (random() < load / 2.5) lines += kind.clump === 1 ? 1 : 1 + Math.floor(exponential(random) * kind.clump)
        kind.next += (exponential(random) * WINDOW_MS) / (kind.rate * 2.5)
      }
      return lines
    }
    return lines + poisson(random, kind.rate * load * gamma(random, kind.shape))
  }

  #line(service: Service, kind: Kind, load: number, fault: Fault | undefined): string {
    const random = this.#random
    const { words, numbers } = kind
    if (numbers === 'ms') {
      const slower = fault?.kind === 'slow values' ? 4 : 1
      const ms = kind.typicalMs * (1 + 0.2 * load) * Math.exp(0.5 * normal(random)) * slower
      return `${words} in ${ms.toFixed(1)} ms`
    }
    if (numbers === 'id') return `${words} id=${Math.floor(random() * 1e6)}`
    if (numbers === 'counter') return `${words} offset ${(service.counter += 1 + Math.floor(random() * 5))}`
    if (numbers === 'status') {
      const failed = random() < (fault?.kind === 'server errors' ? 0.5 : 0.01)
      return `${words} status ${failed ? 503 : random() < 0.1 ? 404 : 200}`
    }
    return words
  }

  #deploy(
    service: Service,
    startMs: number,
    changes: Change[],
    rows: { source: number; severity: number; body: string }[],
    source: number,
  ): void {
    const random = this.#random
    service.deploys.shift()
    service.version++
    const version = `1.${service.version}.0`
    if (random() < 0.5) {
      changes.push({
        kind: 'change',
        id: `${service.name}-${version}`,
        type: 'deploy',
        service: service.name,
        version,
        title: `${service.name} ${version}`,
        atMs: startMs,
        url: '',
      })
    }
    for (const kind of service.kinds)
      if (kind.rate > 0 && random() < 0.03 && !this.faults.some(({ words }) => words === kind.words)) kind.gone = true
    for (let i = 0; i < 4; i++) service.kinds.push(this.#kind(random() < 0.05 ? WARN : INFO, 10 ** (-2 * random()) * 2))
    for (let i = 0; i < 20; i++)
      rows.push({ source, severity: INFO, body: `starting ${WORDS[i]!} component number ${i} of ${service.name}` })
  }

  /** From the ninth day, one a day and service, the kinds in turn, each where there is a line for it. */
  #planFaults(days: number): void {
    const kinds: FaultKind[] = [
      'heartbeat stops',
      'error burst',
      'slow values',
      'new error',
      'line stops',
      'severity shift',
      'server errors',
      'nightly job missed',
    ]
    let turn = 0
    for (const service of this.services) {
      for (let at = FROM_MS + 8 * DAY_MS + 9 * 3_600_000 + turn * 600_000; at < FROM_MS + (days - 1) * DAY_MS; at += 86_400_000) {
        const kind = kinds[turn++ % kinds.length]!
        const used = new Set(this.faults.map(({ words }) => words))
        const fits = service.kinds.filter((one) => !used.has(one.words) && fitsFault(one, kind))
        const chosen = fits[Math.floor(this.#random() * fits.length)]
        if (kind !== 'new error' && chosen === undefined) continue
        let fromMs = at
        if (kind === 'nightly job missed') {
          while ((((fromMs - chosen!.offsetMs) % DAY_MS) + DAY_MS) % DAY_MS > 60_000) fromMs += 60_000
          fromMs -= 120_000
        }
        const toMs =
          fromMs + (kind === 'nightly job missed' ? 7_200_000 : kind === 'line stops' || kind === 'heartbeat stops' ? 7_200_000 : 1_200_000)
        const words = kind === 'new error' ? `${this.#words(ERROR)} badly` : chosen!.words
        this.faults.push({ kind, service: service.name, fromMs: Math.floor(fromMs / WINDOW_MS) * WINDOW_MS, toMs, words })
      }
    }
  }
}

function fitsFault(kind: Kind, fault: FaultKind): boolean {
  if (fault === 'heartbeat stops') return kind.everyMs > 0 && kind.everyMs <= 60_000
  if (fault === 'nightly job missed') return kind.everyMs === DAY_MS && kind.rate === 0
  if (kind.everyMs > 0 || kind.clump > 1) return false
  if (fault === 'line stops') return kind.rate >= 0.3
  if (fault === 'error burst') return kind.severity === ERROR
  if (fault === 'severity shift') return kind.severity === INFO && kind.rate >= 0.3
  if (fault === 'slow values') return kind.numbers === 'ms' && kind.rate >= 1
  return kind.numbers === 'status' && kind.rate >= 0.3
}

/** https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

function exponential(random: () => number): number {
  return -Math.log(1 - random())
}

function normal(random: () => number): number {
  return Math.sqrt(2 * exponential(random)) * Math.cos(2 * Math.PI * random())
}

function poisson(random: () => number, mean: number): number {
  if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)))
  const limit = Math.exp(-mean)
  let count = 0
  for (let product = random(); product > limit; product *= random()) count++
  return count
}

/** Of mean 1. Marsaglia and Tsang 2000, https://doi.org/10.1145/358407.358414 */
function gamma(random: () => number, shape: number): number {
  const boost = shape < 1 ? random() ** (1 / shape) : 1
  const d = (shape < 1 ? shape + 1 : shape) - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = normal(random)
    const v = (1 + c * x) ** 3
    if (v > 0 && Math.log(1 - random()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return (boost * d * v) / shape
  }
}

function letters(n: number): string {
  let text = ''
  for (let rest = n + 26; rest > 0; rest = Math.floor(rest / 26)) text += String.fromCharCode(97 + (rest % 26))
  return text
}
