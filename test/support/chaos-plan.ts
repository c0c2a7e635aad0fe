/**
 * What happens in a run, all of it from one number: which fault, who dies, at which moment of the work, in which of the worst windows, and who
 * takes over. Pure: the same seed is the same plan.
 */
import type { Role } from './chaos-process.ts'
import { SCENE_NAMES, type Scene } from './chaos-stream.ts'

/** How far the work has come: chunks sent, or chunks that detection is done with. */
export interface Moment {
  readonly of: 'sent' | 'detected'
  readonly chunk: number
}

export type Strike =
  /** Wherever they are just then. `again`: the successor dies too, as soon as it has started. */
  | { readonly kind: 'anywhere'; readonly roles: readonly Role[]; readonly again: boolean }
  /** Findings are out, the checkpoint's statement is in the database and not done. `fate`: what becomes of it. */
  | {
      readonly kind: 'checkpoint'
      readonly role: 'detect' | 'correlate'
      readonly partition: number
      readonly fate: 'commits' | 'is cut off'
    }
  /** The successor dies while it reads the checkpoint. */
  | { readonly kind: 'restore'; readonly role: 'detect' | 'correlate' }
  /** While the group shares out the partitions of one that has died, or has just done so, another one of it dies. */
  | { readonly kind: 'rebalance' }
  /** A receiver holds its answer back, having done what was asked (`hang-after`) or not (`hang`). */
  | { readonly kind: 'answer'; readonly channel: Channel; readonly receiver: 'hang-after' | 'hang' }
  /** The doors hold the answer to what is safe already, or have not yet read the request. */
  | { readonly kind: 'door'; readonly hold: 'answer' | 'request' }
  /** Somebody acknowledges the incident; the process of the pages dies under the request, or when it has just answered. Then it is tried again. */
  | { readonly kind: 'acknowledge'; readonly dies: 'before' | 'after' }

export type Channel = 'pagerduty' | 'slack' | 'jira' | 'webhook'
export const CHANNELS: readonly Channel[] = ['pagerduty', 'slack', 'jira', 'webhook']

export interface Plan {
  readonly seed: number
  readonly scene: Scene
  /** Processes of each role at the start; a role that is not named does not run. */
  readonly crew: Readonly<Partial<Record<Role, number>>>
  readonly strikes: readonly { readonly at: Moment; readonly strike: Strike; readonly restart: 'at once' | 'later' | 'never' }[]
  /** Chunks that may be sent ahead of detection. */
  readonly aheadChunks: number
}

/** Chunks around a strike at the doors that go through the doors that are struck; the rest comes from another ingest that lives. */
const STRUCK_CHUNKS = { before: 1, after: 3 }

/** Whether a chunk goes through the doors that are to be struck, and what they are to hold of it. */
export function atTheDoors(
  { strikes }: Pick<Plan, 'strikes'>,
  chunk: number,
): { readonly hold: 'answer' | 'request' | undefined } | undefined {
  const { after, before } = STRUCK_CHUNKS
  const near = strikes.flatMap(({ at, strike }) =>
    strike.kind === 'door' && chunk >= at.chunk - before && chunk <= at.chunk + after ? [{ strike, chunk: at.chunk }] : [],
  )
  return near.length === 0 ? undefined : { hold: near.find((one) => one.chunk === chunk)?.strike.hold }
}

export const STRUCK = ['detect', 'correlate', 'notify', 'web', 'ingest', 'several'] as const
export type Struck = (typeof STRUCK)[number]

/** The fault is over after 39 chunks in both scenes, the incident after some 70: it is open, and work is left for who takes over. */
const LAST_STRIKE = 50

/** The chunk after which somebody acknowledges: the incident has been open for a while in both scenes. */
export const ACKNOWLEDGED_AT = 24

const QUIET = { detect: 1, correlate: 1, notify: 1 }

/** Everything that chance decides. */
class Dice {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = randomOf(seed)
  }

  chance(share: number): boolean {
    return this.#random() < share
  }

  between(from: number, to: number): number {
    return from + Math.floor(this.#random() * (to - from + 1))
  }

  oneOf<const T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)]!
  }

  moment(): Moment {
    return { of: this.oneOf(['sent', 'detected']), chunk: this.between(2, LAST_STRIKE) }
  }

  fate(): 'commits' | 'is cut off' {
    return this.oneOf(['commits', 'is cut off'])
  }
}

type Cast = Pick<Plan, 'crew' | 'strikes'>

const CASTS: Readonly<Record<Struck, (dice: Dice) => Cast>> = {
  detect(dice) {
    const kind = dice.oneOf(['anywhere', 'anywhere', 'checkpoint', 'restore', 'rebalance'])
    if (kind === 'checkpoint') {
      const strike = { kind, role: 'detect', partition: dice.between(0, 3), fate: dice.fate() } as const
      // Which process has the partition is not known from outside: there is only one. A checkpoint comes every six chunks.
      return { crew: QUIET, strikes: [{ at: { of: 'sent', chunk: dice.between(2, 45) }, strike, restart: 'at once' }] }
    }
    if (kind === 'restore') return { crew: QUIET, strikes: [{ at: dice.moment(), strike: { kind, role: 'detect' }, restart: 'at once' }] }
    if (kind === 'rebalance')
      return { crew: { ...QUIET, detect: 3 }, strikes: [{ at: dice.moment(), strike: { kind }, restart: dice.oneOf(['later', 'never']) }] }
    const strike: Strike = { kind, roles: ['detect'], again: dice.chance(0.4) }
    return { crew: { ...QUIET, detect: 2 }, strikes: [{ at: dice.moment(), strike, restart: dice.oneOf(['at once', 'later', 'never']) }] }
  },
  correlate(dice) {
    const kind = dice.oneOf(['anywhere', 'anywhere', 'checkpoint', 'restore'])
    if (kind === 'checkpoint') {
      const strike = { kind, role: 'correlate', partition: 0, fate: dice.fate() } as const
      return { crew: QUIET, strikes: [{ at: dice.moment(), strike, restart: 'at once' }] }
    }
    if (kind === 'restore')
      return { crew: QUIET, strikes: [{ at: dice.moment(), strike: { kind, role: 'correlate' }, restart: 'at once' }] }
    const strike = { kind, roles: ['correlate'], again: dice.chance(0.4) } as const
    const hasStandby = dice.chance(0.4)
    const restart = hasStandby && !strike.again ? 'never' : dice.oneOf(['at once', 'later'])
    return { crew: { ...QUIET, correlate: hasStandby ? 2 : 1 }, strikes: [{ at: dice.moment(), strike, restart }] }
  },
  notify(dice) {
    const crew = { ...QUIET, notify: dice.between(1, 2) }
    const receiver = dice.oneOf(['hang-after', 'hang-after', 'hang'])
    const first: Strike = { kind: 'answer', channel: dice.oneOf(CHANNELS), receiver }
    // The second time in the middle of a life, or at its end: whatever is told next on that channel.
    const second: Strike = dice.chance(0.6)
      ? { kind: 'answer', channel: dice.oneOf(CHANNELS), receiver: 'hang-after' }
      : { kind: 'anywhere', roles: ['notify'], again: dice.chance(0.5) }
    return {
      crew,
      strikes: [
        { at: { of: 'sent', chunk: 1 }, strike: first, restart: 'at once' },
        { at: { of: 'detected', chunk: dice.between(14, 50) }, strike: second, restart: 'at once' },
      ],
    }
  },
  web(dice) {
    const strike: Strike = { kind: 'acknowledge', dies: dice.oneOf(['before', 'after']) }
    const later: Strike = { kind: 'anywhere', roles: ['web'], again: dice.chance(0.3) }
    return {
      crew: { ...QUIET, web: 1 },
      strikes: [
        { at: { of: 'detected', chunk: ACKNOWLEDGED_AT }, strike, restart: 'at once' },
        { at: { of: 'sent', chunk: dice.between(ACKNOWLEDGED_AT + 2, LAST_STRIKE) }, strike: later, restart: 'at once' },
      ],
    }
  },
  ingest(dice) {
    const strikes = Array.from({ length: dice.between(1, 3) }, (_, i) => {
      const strike: Strike = { kind: 'door', hold: dice.oneOf(['answer', 'answer', 'request']) }
      // Apart from each other by more than the chunks that go through the doors.
      return { at: { of: 'sent', chunk: 20 * i + dice.between(2, 16) }, strike, restart: 'at once' } as const
    })
    return { crew: { ...QUIET, ingest: 1 }, strikes }
  },
  several(dice) {
    const roles = dice.oneOf<readonly Role[]>([
      ['detect', 'correlate'],
      ['detect', 'notify'],
      ['correlate', 'notify'],
      ['detect', 'correlate', 'notify'],
    ])
    const strike: Strike = { kind: 'anywhere', roles, again: dice.chance(0.3) }
    return { crew: QUIET, strikes: [{ at: dice.moment(), strike, restart: dice.oneOf(['at once', 'later']) }] }
  },
}

export function planOf(seed: number, only?: Struck): Plan {
  const index = only === undefined ? seed % STRUCK.length : STRUCK.indexOf(only)
  const dice = new Dice(seed * STRUCK.length + index)
  const scene = dice.oneOf(SCENE_NAMES)
  const aheadChunks = dice.between(10, 30)
  return { seed, scene, aheadChunks, ...CASTS[STRUCK[index]!](dice) }
}

export function textOf({ crew, scene, strikes, aheadChunks }: Plan): string {
  const how = strikes.map(({ at, strike, restart }) => {
    const { kind, ...more } = strike
    return `${kind}(${Object.values(more).flat().join(' ')}) at ${at.chunk} ${at.of}, back ${restart}`
  })
  const who = Object.entries(crew).map(([role, count]) => `${count} ${role}`)
  return `${scene}; ${who.join(', ')}; ${how.join('; ')}; ${aheadChunks} ahead`
}

/** mulberry32: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function randomOf(seed: number): () => number {
  let state = (seed * 0x9e3779b1) | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
