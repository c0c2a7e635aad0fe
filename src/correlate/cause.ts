/**
 * Who is to blame: every suspect has an account of evidence; what a fault further down the call graph can explain counts half; what
 * remains becomes a probability beside an "unknown" that no evidence speaks for, so that thin evidence stays humble. Suspects are the
 * services of the incident, what they call (named by their callers if need be) and services that were changed.
 */
import type { Alert, Anomaly, Cause, Change, Evidence } from '../model.ts'
import { blameAnomalies, blameChanges, blameTraffic } from './evidence.ts'
import { measureExcess, type Stretch } from './excess.ts'
import type { FlowHistory } from './flow-history.ts'
import { Account } from './ledger.ts'
import { edgeKey, type Graph } from './topology.ts'
import { listed, named } from './wording.ts'

export interface CauseInput {
  readonly onsetMs: number
  readonly nowMs: number
  /** Services where something is felt, sorted. */
  readonly core: readonly string[]
  readonly anomalies: readonly Anomaly[]
  readonly alerts: readonly Alert[]
  readonly changes: readonly Change[]
  readonly history: FlowHistory
  readonly graph: Graph
  /** When other incidents around here were felt: no reference for what is normal. */
  readonly disturbed: readonly Stretch[]
  readonly maxHops: number
}

const MAX_SUSPECTS = 300
const MAX_CAUSES = 5
const MIN_PROBABILITY = 0.01
/** The larger, the more a lead in points counts. */
const SHARPNESS = 2
/** Points that "something else" has, with traces and without: metrics alone say less about where a fault is. */
const UNKNOWN = { traced: 1.5, untraced: 2.5 } as const
/** However clear it looks. */
const ALWAYS_UNKNOWN = 0.05
const EXPLAINED_AWAY = 0.5

/** Most probable first. Deterministic in its input; the order of the lists in it does not matter. */
export function rankCauses(input: CauseInput): Cause[] {
  const { graph, maxHops } = input
  const accounts = new Map(suspectsOf(input).map((service) => [service, new Account(service)]))
  const traffic = measureExcess(input.history, [...accounts.keys()], edgesAmong(accounts, graph), input.onsetMs, input.disturbed)
  if (traffic !== undefined) blameTraffic(accounts, traffic, input)
  blameAnomalies(accounts, input, traffic !== undefined)
  blamePosition(accounts, input, traffic !== undefined)
  blameChanges(accounts, input, traffic !== undefined)
  blameOwners(accounts, graph)
  mergeAddresses(accounts, graph)
  const suspects = new Set(accounts.values())
  if ([...suspects].every((account) => account.total === 0)) blameDeepest(accounts, input)

  const scored: { account: Account; score: number; evidence: Evidence[] }[] = []
  for (const account of suspects) {
    if (account.total === 0) continue
    const evidence: Evidence[] = account.entries.map((entry) => ({ ...entry, points: rounded(entry.points) }))
    const below = strongestBelow(account, accounts, graph, maxHops)
    const discount = below === undefined ? 0 : EXPLAINED_AWAY * Math.min(account.travelling, below.total)
    if (discount >= 0.05) {
      const text = `Part of this can come from ${named(below!.service)} below it`
      evidence.push({ kind: 'explained', points: rounded(-discount), text, ref: '' })
    }
    scored.push({ account, score: account.total - discount, evidence })
  }
  scored.sort((a, b) => b.score - a.score || (a.account.service < b.account.service ? -1 : 1))
  const unknown = traffic === undefined ? UNKNOWN.untraced : UNKNOWN.traced
  const claimed = scored.reduce((sum, { score }) => sum + score ** SHARPNESS, 0)
  const mass = claimed * (1 + ALWAYS_UNKNOWN) + unknown ** SHARPNESS
  return scored
    .slice(0, MAX_CAUSES)
    .map(({ account, score, evidence }) => ({
      service: account.service,
      probability: rounded(score ** SHARPNESS / mass),
      evidence,
      refutedBy: refutation(account, input),
    }))
    .filter((cause, index) => index === 0 || cause.probability >= MIN_PROBABILITY)
}

function suspectsOf({ core, anomalies, changes, graph, maxHops }: CauseInput): string[] {
  const suspects = new Set(core)
  for (const anomaly of anomalies) suspects.add(anomaly.service)
  for (const change of changes) suspects.add(change.service)
  const hops = new Map<string, number>()
  for (const service of core) {
    for (const [callee, distance] of graph.below(service, maxHops)) hops.set(callee, Math.min(distance, hops.get(callee) ?? Infinity))
  }
  const callees = [...hops].sort(([a, hopsA], [b, hopsB]) => hopsA - hopsB || (a < b ? -1 : 1))
  for (const [callee] of callees) {
    if (suspects.size >= MAX_SUSPECTS) break
    suspects.add(callee)
  }
  suspects.delete('')
  return [...suspects].sort()
}

function edgesAmong(accounts: ReadonlyMap<string, Account>, graph: Graph): string[] {
  const keys: string[] = []
  for (const caller of accounts.keys())
    for (const callee of graph.callees(caller)) if (accounts.has(callee)) keys.push(edgeKey(caller, callee))
  return keys
}

/** It shows something, and nothing it calls, directly or through others, does. */
function blamePosition(accounts: ReadonlyMap<string, Account>, { graph, core, maxHops }: CauseInput, traced: boolean): void {
  const withSymptoms = [...accounts.values()].filter((account) => account.total > 0)
  const bothered = new Set(core)
  for (const account of withSymptoms) {
    const direct = account.points('errors-started', 'failing-calls', 'self-time', 'slow-callee', 'network', 'saturation', 'absence')
    if (direct >= 0.3 || (graph.isInferred(account.service) && account.points('symptom') > 0)) bothered.add(account.service)
  }
  for (const account of withSymptoms) {
    const { service } = account
    if (!graph.knows(service) || !bothered.has(service)) continue
    const callees = graph.callees(service)
    // Of what sends nothing itself only the traffic can say that it is well.
    if (callees.some((callee) => !traced && graph.isInferred(callee))) continue
    // Services between may be silent: called too seldom to say anything of their own.
    if ([...graph.below(service, maxHops).keys()].some((other) => other !== service && bothered.has(other))) continue
    account.add(
      'position',
      1,
      callees.length === 0
        ? 'It has symptoms and calls nothing further'
        : `It has symptoms and what it calls (${listed(callees)}) has none`,
    )
  }
}

/** Whoever alone uses a database may also be the one who uses it badly. */
function blameOwners(accounts: ReadonlyMap<string, Account>, graph: Graph): void {
  for (const { service, total } of accounts.values()) {
    const [owner, ...others] = graph.callers(service)
    if (total < 1 || owner === undefined || others.length > 0 || !graph.isInferred(service)) continue
    accounts
      .get(owner)
      ?.add('owner', 1, `${named(service)} sends no telemetry of its own, and ${named(owner)} is the only one that calls it`)
  }
}

/** `ledger:8080` and `ledger.prod.svc.cluster.local` are called ledger. */
const ADDRESS = /^([^.:]+)(?:(?:\.[^.:]+)?\.svc(?:\.[^:]+)?)?(?::\d+)?$/

/** What sends metrics or logs but no spans is known by two names, its own and the address it is called at: one suspect, found under both. */
function mergeAddresses(accounts: Map<string, Account>, graph: Graph): void {
  for (const [address, called] of accounts) {
    const name = ADDRESS.exec(address)?.[1]
    if (name === undefined || name === address || !graph.isInferred(address) || graph.knows(name)) continue
    const own = accounts.get(name)
    if (own === undefined) continue
    own.take(called)
    accounts.set(address, own)
  }
}

/** No evidence at all: the service with symptoms that is furthest down. Says itself how thin that is. */
function blameDeepest(accounts: ReadonlyMap<string, Account>, { core, graph, maxHops }: CauseInput): void {
  const affected = new Set(core)
  for (const service of core) {
    const below = [...graph.below(service, maxHops).keys()].filter((callee) => affected.has(callee) && callee !== service)
    if (below.length === 0)
      accounts.get(service)?.add('fallback', 1, 'No direct evidence: of the affected services it is the furthest down')
  }
}

function strongestBelow(account: Account, accounts: ReadonlyMap<string, Account>, graph: Graph, maxHops: number): Account | undefined {
  let strongest: Account | undefined
  for (const callee of graph.below(account.service, maxHops).keys()) {
    const other = accounts.get(callee)
    if (other === undefined || other === account || other.total === 0) continue
    if (strongest === undefined || other.total > strongest.total || (other.total === strongest.total && other.service < strongest.service))
      strongest = other
  }
  return strongest
}

function refutation(account: Account, { graph }: CauseInput): string {
  const service = named(account.service)
  const kind = account.entries[0]?.kind
  if (kind === 'change') return `The symptoms turn out to be older than the change, or undoing it does not help.`
  if (kind === 'errors-started') return `Failing traces whose deepest failed span is not in ${service}.`
  if (kind === 'failing-calls' || kind === 'slow-callee') {
    return `${service}'s own measurements are normal while ${listed(graph.callers(account.service))} still ${graph.callers(account.service).length === 1 ? 'waits' : 'wait'} for it.`
  }
  if (kind === 'self-time') return `The time turns out to be spent waiting for something that sends no spans.`
  if (kind === 'network') return `Round trips measured between the hosts are normal.`
  if (kind === 'saturation') return `The same load at a time when nobody was affected.`
  if (kind === 'absence') return `${service} was stopped on purpose, or only its telemetry is missing.`
  if (kind === 'surge') return `The same traffic at a time when nobody was affected.`
  return `A service that ${service} calls turns out to have failed before it.`
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
