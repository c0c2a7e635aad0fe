/**
 * The table of weights and the account of one suspect. Points add up; per suspect and kind only the strongest piece counts, so that a
 * thousand anomalies of one kind are no more than one. Weights follow an experiment on public fault-injection data in which
 * the choice of features mattered and the exact weights did not.
 */
import type { Evidence } from '../model.ts'

export type EvidenceKind = keyof typeof WEIGHTS

/**
 * `points`: what a full piece of this evidence is worth. `travels`: a fault further down the calls can bring it about, so
 * it counts half where something below is a better suspect.
 */
export const WEIGHTS = {
  /** A change of this very service just before the onset, and the service shows symptoms of its own. */
  change: { points: 4, travels: false },
  /** Its share of the excess failures that began in a span none of whose children failed. */
  'errors-started': { points: 3, travels: true },
  /** Calls to it fail without it having failed itself: a database, a third party, or it is down. */
  'failing-calls': { points: 3, travels: true },
  /** Its share of the extra time that no child span covers. */
  'self-time': { points: 3, travels: true },
  /** The same for something that sends no spans: how much longer its callers wait. */
  'slow-callee': { points: 3, travels: true },
  /** Its share of the extra time between client and server spans, times the share of its edges that have it. What is below it is in neither. */
  network: { points: 3, travels: false },
  /** CPU, memory, disk; a pool, a queue and the like count less, they also fill up when something below is slow. */
  saturation: { points: 3, travels: false },
  /** It fell silent. */
  absence: { points: 2, travels: false },
  /** New or bursting log templates. */
  logs: { points: 2, travels: true },
  /** More requests than usual at an entry. */
  surge: { points: 1.5, travels: false },
  /** The service as a whole is unlike itself. */
  detector: { points: 1, travels: true },
  /** Its own requests fail or are slow. */
  symptom: { points: 1, travels: true },
  /** It left its baseline before the others. */
  onset: { points: 1, travels: true },
  /** It has symptoms and what it calls has none. */
  position: { points: 1, travels: false },
  /** An alert of another system names it. */
  alert: { points: 1, travels: true },
  /** Something else that is unusual. */
  unusual: { points: 0.5, travels: true },
  /** The only caller of a suspect that sends nothing itself. */
  owner: { points: 0.5, travels: false },
  /** Nothing else is known but where it stands among the services with symptoms. */
  fallback: { points: 0.5, travels: false },
} as const

/** 0 to 1: how large z is against C, in orders of magnitude. */
export function lg(z: number, c: number): number {
  return z > 0 ? Math.min(1, Math.log1p(z) / Math.log1p(c)) : 0
}

interface Entry extends Evidence {
  readonly kind: EvidenceKind
}

export class Account {
  readonly service: string
  #own = 0
  readonly #entries = new Map<EvidenceKind, Entry>()
  constructor(service: string) {
    this.service = service
  }

  /** `strength` 0 to 1. Pieces worth less than a twentieth of a point are not claimed. */
  add(kind: EvidenceKind, strength: number, text: string, ref = ''): void {
    const points = Math.min(1, strength) * WEIGHTS[kind].points
    if (!(points >= 0.05)) return
    const known = this.#entries.get(kind)
    if (known === undefined || points > known.points || (points === known.points && text < known.text))
      this.#entries.set(kind, { kind, points, text, ref })
  }

  /** All that another account holds as well: both turn out to be about one service. */
  take(other: Account): void {
    for (const { kind, points, text, ref } of other.entries) this.add(kind, points / WEIGHTS[kind].points, text, ref)
    this.noteOwn(other.own)
  }

  /** 0 to 1: how far it could itself have brought about what is charged to what it calls. A change of its own makes that likely. */
  get own(): number {
    return this.#own
  }

  noteOwn(strength: number): void {
    this.#own = Math.max(this.#own, Math.min(1, strength))
  }

  points(...kinds: readonly EvidenceKind[]): number {
    let sum = 0
    for (const kind of kinds) sum += this.#entries.get(kind)?.points ?? 0
    return sum
  }

  get total(): number {
    let sum = 0
    for (const entry of this.#entries.values()) sum += entry.points
    return sum
  }

  /** What a fault below could have brought about. */
  get travelling(): number {
    let sum = 0
    for (const entry of this.#entries.values()) if (WEIGHTS[entry.kind].travels) sum += entry.points
    return sum
  }

  /** Strongest first. */
  get entries(): Entry[] {
    return [...this.#entries.values()].sort((a, b) => b.points - a.points || (a.kind < b.kind ? -1 : 1))
  }
}
