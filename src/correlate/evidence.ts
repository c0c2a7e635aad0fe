/**
 * Turns measurements, anomalies, alerts and changes into evidence: a strength and a sentence with its numbers, entered into the account of
 * each suspect. Which kind is worth how much stands in ledger.ts.
 */
import type { Alert, Anomaly, Change, ChangeType } from '../model.ts'
import { oneLine } from '../wording.ts'
import { WINDOW_MS, type EdgeExcess, type TrafficExcess } from './excess.ts'
import { lg, WEIGHTS, type Account } from './ledger.ts'
import { changeText } from './timeline.ts'
import { anomalyText } from './title.ts'
import type { Graph } from './topology.ts'
import { formatDuration, formatCount, formatPercent, listed, named } from './wording.ts'

type Accounts = ReadonlyMap<string, Account>

/** How much of the failures that callers see at something that did not itself fail is charged to it; the rest stays with the callers. */
const CHARGED_TO_CALLEE = 0.7
/** A database is often slow, or fails, because of how it is asked: how far its caller is suspected along with it, should it have been changed. */
const ASKED_BADLY = 0.5
/** Shares below this are noise of the split. */
const MIN_SHARE = 0.05

export function blameTraffic(accounts: Accounts, traffic: TrafficExcess, { core, graph }: { core: readonly string[]; graph: Graph }): void {
  blameFailures(accounts, traffic, core, graph)
  blameTime(accounts, traffic, graph)
}

function blameFailures(accounts: Accounts, traffic: TrafficExcess, core: readonly string[], graph: Graph): void {
  const started = new Map<string, number>()
  for (const { service, started: excess } of traffic.services.values()) started.set(service, excess.excess)
  const unanswered = shiftUnanswered(traffic, started)
  let total = 0
  for (const failures of started.values()) total += failures
  for (const { failures } of unanswered.values()) total += failures
  if (total <= 0) return
  // One in ten failing is as bad as it gets; one in a hundred is a third of that.
  const served = Math.max(1, ...core.map((service) => traffic.services.get(service)?.errors.count ?? 0))
  const weight = lg((100 * total) / served, 10)
  for (const edge of traffic.edges)
    if (edge.inferred) accounts.get(edge.caller)?.noteOwn(ASKED_BADLY * (edge.errors.excess / total) * weight)
  for (const [service, failures] of started) {
    const share = failures / total
    const { excess } = traffic.services.get(service)!.started
    accounts.get(service)?.noteOwn((excess / total) * weight)
    if (share < MIN_SHARE) continue
    const numbers = `${formatPercent(share)} of the excess failures`
    const count = `(${formatCount(failures)} of ${formatCount(total)})`
    if (graph.isInferred(service)) {
      accounts
        .get(service)
        ?.add('failing-calls', share * weight, `Calls to it by ${listed(graph.callers(service))} fail: ${numbers} ${count}`)
      continue
    }
    const elsewhere =
      excess - failures >= 1 ? `, not counting ${formatCount(excess - failures)} in calls to what did not itself report a failure` : ''
    accounts.get(service)?.add('errors-started', share * weight, `${numbers} started here ${count}${elsewhere}`)
  }
  for (const [callee, { failures, callers }] of unanswered) {
    const share = failures / total
    if (share < MIN_SHARE) continue
    const text = `Calls to it by ${listed(callers)} fail without it reporting a failure: ${formatPercent(share)} of the excess failures (${formatCount(failures)} of ${formatCount(total)})`
    accounts.get(callee)?.add('failing-calls', share * weight, text)
  }
}

/** Calls given up although the callee did not fail (a timeout): moves most of these failures from the callers' to the callee's side. */
function shiftUnanswered(traffic: TrafficExcess, started: Map<string, number>): Map<string, { failures: number; callers: string[] }> {
  const unanswered = new Map<string, { failures: number; callers: string[] }>()
  for (const [callee, edges] of edgesByCallee(traffic.edges)) {
    const failing = edges.filter((edge) => !edge.inferred && edge.errors.excess > 0)
    const seen = sumOf(failing, (edge) => edge.errors.excess)
    const failures = seen - (traffic.services.get(callee)?.errors.excess ?? 0)
    if (failures <= 0) continue
    let moved = 0
    for (const edge of failing) {
      const has = started.get(edge.caller) ?? 0
      const moves = Math.min(has, CHARGED_TO_CALLEE * failures * (edge.errors.excess / seen))
      started.set(edge.caller, has - moves)
      moved += moves
    }
    if (moved > 0) unanswered.set(callee, { failures: moved, callers: failing.map((edge) => edge.caller) })
  }
  return unanswered
}

function blameTime(accounts: Accounts, traffic: TrafficExcess, graph: Graph): void {
  // Of what is only known by its callers the edges tell the same, and who it was that waited.
  const own = [...traffic.services.values()].filter((row) => !graph.isInferred(row.service))
  let total = sumOf(own, (row) => row.self.excess)
  let expected = sumOf(own, (row) => row.self.expected)
  for (const edge of traffic.edges) {
    const waiting = edge.inferred ? edge.client : edge.gap
    total += waiting.excess
    expected += waiting.expected
  }
  if (total <= 0) return
  // Of everybody's requests; where few pass, what they lost says more than what all did.
  const weight = slowed(total, expected)
  for (const edge of traffic.edges)
    if (edge.inferred) accounts.get(edge.caller)?.noteOwn(ASKED_BADLY * (edge.client.excess / total) * weight)
  for (const { service, self } of own) {
    const share = self.excess / total
    if (share < MIN_SHARE) continue
    const each = `${formatDuration(self.excess / self.count)} more per request (normally ${formatDuration(self.expected / self.count)})`
    accounts
      .get(service)
      ?.add(
        'self-time',
        share * Math.max(weight, slowed(self.excess, self.expected)),
        `${formatPercent(share)} of the extra time is spent in it rather than in what it calls: ${each}`,
      )
  }
  for (const [callee, edges] of edgesByCallee(traffic.edges)) {
    const inferred = edges.filter((edge) => edge.inferred)
    const slower = inferred.filter((edge) => edge.client.excess > 0)
    const share = sumOf(slower, (edge) => edge.client.excess) / total
    if (share < MIN_SHARE) continue
    const calls = sumOf(slower, (edge) => edge.client.count)
    const now = formatDuration(sumOf(slower, (edge) => edge.client.observed) / calls)
    const usual = formatDuration(sumOf(slower, (edge) => edge.client.expected) / calls)
    const who = `${listed(slower.map((edge) => edge.caller))} (${formatCount(calls)} calls)`
    const text = `Calls to it by ${who} take ${now} (normally ${usual}): ${formatPercent(share)} of the extra time`
    const local = slowed(
      sumOf(slower, (edge) => edge.client.excess),
      sumOf(slower, (edge) => edge.client.expected),
    )
    accounts.get(callee)?.add('slow-callee', share * Math.max(weight, local), text)
  }
  blameNetwork(accounts, traffic.edges, total, weight)
}

/** 0 to 1: three times as long as usual is as bad as it gets. */
function slowed(excessMs: number, expectedMs: number): number {
  return lg(excessMs / Math.max(expectedMs, 1), 2)
}

/** A slow way to a service shows on all edges into it, a slow host on all its edges; on one edge of many it is somebody else's. */
function blameNetwork(accounts: Accounts, edges: readonly EdgeExcess[], total: number, weight: number): void {
  const traced = edges.filter((edge) => !edge.inferred)
  for (const account of accounts.values()) {
    const into = traced.filter((edge) => edge.callee === account.service)
    const out = traced.filter((edge) => edge.caller === account.service)
    const all = [...into, ...out]
    const late = all.filter((edge) => edge.gap.excess > 0)
    const share = sumOf(late, (edge) => edge.gap.excess) / total
    if (share < MIN_SHARE) continue
    const affected = Math.max(
      late.length / all.length,
      into.length === 0 ? 0 : into.filter((edge) => edge.gap.excess > 0).length / into.length,
    )
    const calls = sumOf(late, (edge) => edge.gap.count)
    const each = formatDuration(sumOf(late, (edge) => edge.gap.excess) / calls)
    const others = listed(late.map((edge) => (edge.callee === account.service ? edge.caller : edge.callee)))
    const text = `Between it and ${others} ${each} per call are lost on the way or in front of the server: ${formatPercent(share)} of the extra time`
    const local = slowed(
      sumOf(late, (edge) => edge.gap.excess),
      sumOf(late, (edge) => edge.client.expected),
    )
    account.add('network', share * affected * Math.max(weight, local), text)
  }
}

interface Symptoms {
  readonly onsetMs: number
  readonly nowMs: number
  readonly anomalies: readonly Anomaly[]
  readonly alerts: readonly Alert[]
  readonly graph: Graph
}

/** Where traces say what happened, what is merely unlike itself says little beside them. */
const VAGUE_BESIDE_TRACES = 0.4
/** A score ten times the threshold is as telling as it gets. */
const FULL_SCORE = 10
const HARD_RESOURCE = /cpu|memory|\bmem\b|heap|disk|filesystem|\boom\b/i
const SOFT_RESOURCE = 0.6

export function blameAnomalies(accounts: Accounts, { anomalies, alerts, onsetMs, graph }: Symptoms, traced: boolean): void {
  const vague = traced ? VAGUE_BESIDE_TRACES : 1
  for (const anomaly of anomalies) {
    // What begins long after the fault is its consequence.
    if (anomaly.startMs > onsetMs + WINDOW_MS) continue
    const account = accounts.get(anomaly.service)
    const strength = lg(anomaly.score, FULL_SCORE)
    const text = anomalyText(anomaly)
    const isFelt = anomaly.impact || (graph.isInferred(anomaly.service) && (anomaly.symptom === 'errors' || anomaly.symptom === 'latency'))
    if (isFelt) {
      account?.add('symptom', strength, text, anomaly.id)
      // A disk that is as good as full is felt, and it is the cause of what is felt.
      if (anomaly.symptom === 'saturation' && HARD_RESOURCE.test(anomaly.subject)) account?.add('saturation', strength, text, anomaly.id)
    } else if (anomaly.symptom === 'saturation') {
      if (anomaly.direction === 'up')
        account?.add('saturation', strength * (HARD_RESOURCE.test(anomaly.subject) ? 1 : SOFT_RESOURCE), text, anomaly.id)
    } else if (anomaly.symptom === 'log') {
      if (anomaly.direction === 'up') account?.add('logs', strength, text, anomaly.id)
    } else if (anomaly.symptom === 'absence') account?.add('absence', strength, text, anomaly.id)
    else if (anomaly.symptom === 'traffic') {
      if (anomaly.direction === 'up' && graph.isEntry(anomaly.service)) account?.add('surge', strength, text, anomaly.id)
    } else if (anomaly.signal === 'mixed') account?.add('detector', vague * strength, text, anomaly.id)
    else account?.add('unusual', vague * strength, text, anomaly.id)
  }
  for (const alert of alerts) {
    const strength = alert.severity === 'critical' ? 1 : alert.severity === 'error' ? 0.8 : alert.severity === 'warning' ? 0.6 : 0.3
    accounts.get(alert.service)?.add('alert', strength, `Alert ${oneLine(alert.name, 120)} (${alert.severity}) names it`, alert.id)
  }
  blameFirst(accounts, anomalies, onsetMs)
}

/** What is older than this when the fault is felt was not its beginning. */
const EARLY_MS = 120_000
/** Leads shorter than a window of detection say nothing. */
const MIN_LEAD_MS = 10_000
const FULL_LEAD_MS = 60_000

function blameFirst(accounts: Accounts, anomalies: readonly Anomaly[], onsetMs: number): void {
  const first = new Map<string, Anomaly>()
  for (const anomaly of anomalies) {
    if (anomaly.startMs < onsetMs - EARLY_MS) continue
    const known = first.get(anomaly.service)
    if (known === undefined || anomaly.startMs < known.startMs || (anomaly.startMs === known.startMs && anomaly.id < known.id))
      first.set(anomaly.service, anomaly)
  }
  const [earliest, next] = [...first.values()].sort((a, b) => a.startMs - b.startMs || (a.id < b.id ? -1 : 1))
  if (earliest === undefined || next === undefined) return
  const leadMs = next.startMs - earliest.startMs
  if (leadMs < MIN_LEAD_MS) return
  const text = `It left its baseline first, ${formatDuration(leadMs)} before ${named(next.service)}: ${oneLine(earliest.subject, 120)}`
  accounts.get(earliest.service)?.add('onset', leadMs / FULL_LEAD_MS, text, earliest.id)
}

/** How quickly a change stops being a suspect: a third is left after so long. */
const CHANGE_FADES_MS = 300_000
/** An onset is known to half a minute at best, and clocks differ. */
const AFTER_ONSET_MS = 30_000
const SUSPICION: Readonly<Record<ChangeType, number>> = {
  deploy: 1,
  rollback: 1,
  rollout: 1,
  flag: 1,
  config: 1,
  chaos: 1,
  sync: 0.7,
  scaling: 0.5,
  other: 0.5,
}

/** A change is suspicious as far as its own service shows symptoms that do not come from below; last, because it reads the account. */
export function blameChanges(
  accounts: Accounts,
  { changes, onsetMs }: { changes: readonly Change[]; onsetMs: number },
  traced: boolean,
): void {
  const own = new Map<string, number>()
  for (const account of accounts.values()) {
    const certain = account.own * WEIGHTS['errors-started'].points + account.points('self-time', 'saturation', 'absence')
    const vague = account.points('logs', 'detector')
    own.set(account.service, Math.min(1, (traced ? certain + 0.3 * vague : certain + vague + 2 * account.points('symptom')) / 2))
  }
  for (const change of changes) {
    const beforeMs = onsetMs - change.atMs
    if (beforeMs < -AFTER_ONSET_MS) continue
    const strength = SUSPICION[change.type] * Math.exp(-Math.max(0, beforeMs) / CHANGE_FADES_MS) * (own.get(change.service) ?? 0)
    const when = beforeMs >= 1000 ? `${formatDuration(beforeMs)} before the first symptom` : 'as the symptoms began'
    accounts.get(change.service)?.add('change', strength, `${capital(changeText(change))}, ${when}`, change.id)
  }
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

function edgesByCallee(edges: readonly EdgeExcess[]): Map<string, EdgeExcess[]> {
  const byCallee = new Map<string, EdgeExcess[]>()
  for (const edge of edges) {
    const list = byCallee.get(edge.callee)
    if (list === undefined) byCallee.set(edge.callee, [edge])
    else list.push(edge)
  }
  return byCallee
}

function sumOf<T>(items: readonly T[], value: (item: T) => number): number {
  let sum = 0
  for (const item of items) sum += value(item)
  return sum
}
