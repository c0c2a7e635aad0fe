/**
 * Forty-odd minutes of a small shop, as observations: `frontend` serves two routes, one of which calls `checkout`. Load moves, a pod of checkout
 * restarts, a harmless deploy replaces both, and then checkout is slow, fails, and finally hardly anybody comes. The same story is told through
 * every door (metric-senders.ts, span-senders.ts, log-senders.ts), so that what comes of it can be compared. Virtual time, seeded noise.
 */

export const STEP_MS = 10_000
export const START_MS = Date.UTC(2026, 10, 2, 9, 0, 0)
const MINUTE = 60_000
const at = (minutes: number) => START_MS + minutes * MINUTE

export const STORY = {
  restartMs: at(7),
  deployMs: at(10),
  latency: { fromMs: at(16), toMs: at(19) },
  errors: { fromMs: at(26), toMs: at(29) },
  drop: { fromMs: at(36), toMs: at(39) },
  endMs: at(46),
} as const

/** A request as its server saw it. */
export interface Served {
  readonly method: string
  readonly route: string
  readonly status: number
  readonly startMs: number
  readonly durationMs: number
}

/** A pod and what it did in a step. */
export interface Pod {
  readonly service: string
  readonly name: string
  readonly version: string
  /** When its process began. */
  readonly bornMs: number
  readonly served: readonly Served[]
  readonly cpuSeconds: number
  readonly memoryBytes: number
}

export interface Span {
  readonly service: string
  readonly pod: string
  readonly version: string
  readonly name: string
  readonly kind: 'server' | 'client'
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string
  readonly startMs: number
  readonly durationMs: number
  readonly failed: boolean
}

export interface Line {
  readonly service: string
  readonly pod: string
  readonly timeMs: number
  readonly level: 'info' | 'error'
  readonly text: string
}

/** What happened in the ten seconds before `timeMs`. */
export interface Step {
  readonly timeMs: number
  readonly pods: readonly Pod[]
  /** Pods that were there before and are no more. */
  readonly gone: readonly Pod[]
  readonly spans: readonly Span[]
  readonly lines: readonly Line[]
  readonly deployed: boolean
}

/** Milliseconds of the work of checkout: its median, and what it is while it is slow. */
const CHECKOUT_MS = 60
const SLOW_MS = 420
const SPREAD = 0.4
/** The 95 % quantile of what checkout takes, as the story is made. */
export const TRUE_P95_S = { normal: (CHECKOUT_MS * Math.exp(1.645 * SPREAD)) / 1000, slow: (SLOW_MS * Math.exp(1.645 * SPREAD)) / 1000 }
const FAILING = 0.3

interface Place {
  readonly service: string
  name: string
  version: string
  bornMs: number
  served: Served[]
  isDown: boolean
}

export function tellStory(seed = 11): Step[] {
  const random = uniform(seed)
  const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random())
  const place = (service: string, name: string): Place => ({
    service,
    name,
    version: '1.0.0',
    bornMs: START_MS - 3_600_000,
    served: [],
    isDown: false,
  })
  const frontends = [place('frontend', 'frontend-6f9d7c5b4d-k2x8p'), place('frontend', 'frontend-6f9d7c5b4d-zq7ml')]
  const checkouts = [place('checkout', 'checkout-7d8f9b6c5d-4hjkt'), place('checkout', 'checkout-7d8f9b6c5d-w9pzr')]
  const steps: Step[] = []
  let requests = 0
  for (let timeMs = START_MS + STEP_MS; timeMs <= STORY.endMs; timeMs += STEP_MS) {
    const fromMs = timeMs - STEP_MS
    const gone: Pod[] = []
    const spans: Span[] = []
    const lines: Line[] = []
    const deployed = fromMs === STORY.deployMs
    if (deployed) {
      for (const [i, pod] of checkouts.entries()) {
        gone.push(snapshotOf(pod, 0, 0))
        checkouts[i] = { ...pod, name: `checkout-5c6d7f8b9c-${'abcde'.slice(i)}${'xyz'.slice(0, i)}`, version: '1.1.0', bornMs: fromMs }
      }
    }
    // A pod is away for one scrape and begins to count from zero.
    checkouts[0]!.isDown = fromMs === STORY.restartMs
    if (fromMs === STORY.restartMs + STEP_MS) checkouts[0]!.bornMs = fromMs
    const load = (1 + 0.15 * Math.sin((2 * Math.PI * (fromMs - START_MS)) / (30 * MINUTE))) * (1 + 0.03 * normal())
    const during = ({ fromMs: from, toMs: to }: { fromMs: number; toMs: number }) => fromMs >= from && fromMs < to
    const count = Math.round(150 * load * (during(STORY.drop) ? 0.03 : 1))
    for (let i = 0; i < count; i++) {
      const n = requests++
      const startMs = fromMs + Math.floor(((i + 0.5 * random()) / count) * (STEP_MS - 2_000))
      const front = frontends[n % 2]!
      const buys = n % 5 < 2
      const ids = idsOf(n)
      let ms = 8 * Math.exp(0.3 * normal())
      let failed = false
      if (buys) {
        const back = checkouts.find((pod, j) => !pod.isDown && (checkouts.some((one) => one.isDown) || j === Math.floor(n / 5) % 2))!
        const backMs = (during(STORY.latency) ? SLOW_MS : CHECKOUT_MS) * Math.exp(SPREAD * normal())
        failed = random() < (during(STORY.errors) ? FAILING : 0.001)
        back.served.push({
          method: 'POST',
          route: '/orders',
          status: failed ? 500 : 200,
          startMs: startMs + ms / 2,
          durationMs: backMs,
        })
        spans.push(
          spanOf(front, 'POST /orders', 'client', ids, 1, startMs + ms / 2 - 0.5, backMs + 1, failed),
          spanOf(back, 'POST /orders', 'server', ids, 2, startMs + ms / 2, backMs, failed),
        )
        lines.push({
          service: 'checkout',
          pod: back.name,
          timeMs: startMs,
          level: 'info',
          text: `order ${n} placed in ${Math.round(backMs)} ms`,
        })
        if (failed)
          lines.push({
            service: 'checkout',
            pod: back.name,
            timeMs: startMs + 1,
            level: 'error',
            text: `cannot charge card of order ${n}: issuer refused the connection`,
          })
        ms += backMs
      }
      front.served.push({
        method: buys ? 'POST' : 'GET',
        route: buys ? '/checkout' : '/',
        status: failed ? 502 : 200,
        startMs,
        durationMs: ms,
      })
      spans.push(spanOf(front, buys ? 'POST /checkout' : 'GET /', 'server', ids, 0, startMs, ms, failed))
    }
    const pods = [...frontends, ...checkouts].filter((pod) => !pod.isDown)
    steps.push({
      timeMs,
      pods: pods.map((pod) => snapshotOf(pod, 0.004 * pod.served.length * (1 + 0.05 * normal()), 120e6 * (1 + 0.01 * normal()))),
      gone: [...gone, ...[...frontends, ...checkouts].filter((pod) => pod.isDown).map((pod) => snapshotOf(pod, 0, 0))],
      spans,
      lines,
      deployed,
    })
    for (const pod of [...frontends, ...checkouts]) pod.served = []
  }
  return steps
}

function snapshotOf({ service, name, version, bornMs, served }: Place, cpuSeconds: number, memoryBytes: number): Pod {
  return { service, name, version, bornMs, served, cpuSeconds, memoryBytes }
}

interface Ids {
  readonly traceId: string
  readonly spanIds: readonly string[]
}

function idsOf(n: number): Ids {
  const hex = (digits: number, value: number) => value.toString(16).padStart(digits, '0')
  return { traceId: `5eed${hex(28, n + 1)}`, spanIds: [0, 1, 2].map((i) => `a${i}${hex(14, n + 1)}`) }
}

function spanOf(
  pod: Place,
  name: string,
  kind: 'server' | 'client',
  { traceId, spanIds }: Ids,
  i: number,
  startMs: number,
  durationMs: number,
  failed: boolean,
): Span {
  const ids = { traceId, spanId: spanIds[i]!, parentId: i === 0 ? '' : spanIds[i - 1]! }
  return { service: pod.service, pod: pod.name, version: pod.version, name, kind, ...ids, startMs, durationMs, failed }
}

/** Uniform in (0, 1): mulberry32, https://github.com/cprosche/mulberry32 */
function uniform(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (((t ^ (t >>> 14)) >>> 0) + 1) / 4294967297
  }
}
