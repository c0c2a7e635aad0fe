/**
 * Which incident a symptom belongs to, and when a symptom is a reason for a new one: when it is felt, still stands and nothing open is
 * related. A new incident looks for its early signs among what was seen before; what is felt widens the incident, what is merely
 * unusual does not, or incidents would creep over the whole call graph.
 */
import type { Alert, Anomaly, Change } from '../model.ts'
import { isOpen, isStanding, type Draft } from './draft.ts'
import { withoutChart } from './fold.ts'
import { reachOf, relation, type Reach, type Span, type Subject } from './grouping.ts'
import { alertPages } from './severity.ts'
import { returnsOf, type TrackedIncident } from './state.ts'
import { alertEntry, anomalyEntry, changeEntry, incidentId, overflowEntry, recoveredEntry } from './timeline.ts'

interface Loose extends Subject {
  readonly id: string
  readonly pages: boolean
  readonly item: Anomaly | Alert
}

/** Assigns what can be assigned and opens what must be opened, until nothing moves any more. */
export function assign(draft: Draft): void {
  const finder = new Finder(draft)
  let loose = looseOnes(draft)
  for (;;) {
    const left: Loose[] = []
    let grown = false
    for (const one of loose) {
      const incident = finder.find(one)
      if (incident === undefined) left.push(one)
      else grown = attach(draft, incident, one) || grown
    }
    loose = left
    if (grown) continue
    const opening = loose.find((one) => one.pages)
    if (opening === undefined) return
    if (finder.full) attach(draft, finder.nearestInTime(opening), opening)
    else open(draft, opening)
    loose = loose.filter((one) => one !== opening)
  }
}

/** Puts changes near an incident on its timeline: those before it began, and those while it lasts (a rollback is news too). */
export function attachChanges(draft: Draft): void {
  if (draft.changes.size === 0) return
  const changes = [...draft.changes.values()].sort(byTime)
  for (const tracked of draft.incidents.values()) {
    if (!isOpen(tracked)) continue
    const known = new Set(tracked.changeIds)
    const fitting = changes.filter((change) => !known.has(change.id) && change.atMs >= tracked.onsetMs - draft.config.changeLookBackMs)
    if (fitting.length === 0) continue
    const reach = reachOf(draft.graph, tracked.core, draft.config.maxHops)
    const near = fitting
      .filter((change) => isNear(draft, tracked, reach, change))
      .slice(0, draft.config.limits.changesPerIncident - known.size)
    if (near.length === 0) continue
    for (const change of near) draft.timeline.push(changeEntry(tracked.incident.id, change))
    draft.put({ ...tracked, changeIds: [...tracked.changeIds, ...near.map((change) => change.id)], causesDue: true })
  }
}

function isNear(draft: Draft, tracked: TrackedIncident, reach: Reach, change: Change): boolean {
  if (reach.direct.has(change.service)) return true
  if (draft.graph.knows(change.service) && !reach.blind) return false
  return Math.abs(change.atMs - tracked.onsetMs) <= draft.config.lookBackMs
}

function byTime(a: { atMs: number; id: string }, b: { atMs: number; id: string }): number {
  return a.atMs - b.atMs || (a.id < b.id ? -1 : 1)
}

function looseOnes(draft: Draft): Loose[] {
  const loose: Loose[] = []
  for (const { anomaly, incidentId } of draft.anomalies.values()) {
    if (incidentId !== '') continue
    const pages = anomaly.impact && isStanding(anomaly, draft.nowMs, draft.config.staleMs)
    loose.push({ id: anomaly.id, service: anomaly.service, startMs: anomaly.startMs, endMs: anomaly.endMs, pages, item: anomaly })
  }
  for (const { alert, incidentId } of draft.alerts.values()) {
    if (incidentId !== '') continue
    const over = alert.endMs <= draft.nowMs
    loose.push({
      id: alert.id,
      service: alert.service,
      startMs: alert.startMs,
      endMs: over ? alert.endMs : undefined,
      pages: !over && alertPages(alert),
      item: alert,
    })
  }
  return loose.sort((a, b) => a.startMs - b.startMs || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
}

class Finder {
  readonly #draft: Draft
  readonly #reach = new Map<string, { core: readonly string[]; reach: Reach }>()
  constructor(draft: Draft) {
    this.#draft = draft
  }

  find(subject: Subject): TrackedIncident | undefined {
    const { config, graph } = this.#draft
    let best: TrackedIncident | undefined
    let strongest = 0
    for (const tracked of this.#draft.incidents.values()) {
      if (!this.#takes(tracked)) continue
      const strength = relation(subject, spanOf(this.#draft, tracked), this.#reachOf(tracked), graph, config)
      if (strength > strongest || (strength === strongest && best !== undefined && strength > 0 && earlier(tracked, best))) {
        best = tracked
        strongest = strength
      }
    }
    return best
  }

  get full(): boolean {
    let open = 0
    for (const tracked of this.#draft.incidents.values()) if (isOpen(tracked)) open++
    return open >= this.#draft.config.limits.incidents
  }

  nearestInTime(subject: Subject): TrackedIncident {
    const distance = (tracked: TrackedIncident) => Math.abs(tracked.onsetMs - subject.startMs)
    return [...this.#draft.incidents.values()]
      .filter(isOpen)
      .reduce((best, tracked) =>
        distance(tracked) < distance(best) || (distance(tracked) === distance(best) && earlier(tracked, best)) ? tracked : best,
      )
  }

  /** What a person has closed goes on taking in the symptoms of the same fault for a while: closing it must not page again. */
  #takes(tracked: TrackedIncident): boolean {
    if (tracked.closedMs === undefined) return true
    return tracked.closedBy === 'person' && this.#draft.nowMs - tracked.closedMs <= this.#draft.config.resolveAfterMs
  }

  #reachOf(tracked: TrackedIncident): Reach {
    const known = this.#reach.get(tracked.incident.id)
    if (known?.core === tracked.core) return known.reach
    const reach = reachOf(this.#draft.graph, tracked.core, this.#draft.config.maxHops)
    this.#reach.set(tracked.incident.id, { core: tracked.core, reach })
    return reach
  }
}

function earlier(a: TrackedIncident, b: TrackedIncident): boolean {
  return a.incident.openedMs < b.incident.openedMs || (a.incident.openedMs === b.incident.openedMs && a.incident.id < b.incident.id)
}

function spanOf(draft: Draft, tracked: TrackedIncident): Span {
  return {
    onsetMs: tracked.onsetMs,
    lastMs: tracked.standing && isOpen(tracked) ? Math.max(draft.nowMs, tracked.lastImpactMs) : tracked.lastImpactMs,
  }
}

/** True when it widened the incident, so that others may now be related. */
function attach(draft: Draft, incident: TrackedIncident, loose: Loose): boolean {
  // Read anew: an earlier one of the same round may have changed it.
  const tracked = draft.incidents.get(incident.incident.id)!
  const id = tracked.incident.id
  const { item } = loose
  let listedAnomalies = tracked.listedAnomalies
  if (item.kind === 'alert') {
    draft.alerts.set(item.id, { ...draft.alerts.get(item.id)!, incidentId: id })
    draft.timeline.push(alertEntry(id, item))
  } else {
    const limit = draft.config.limits.anomaliesPerIncident
    const listed = listedAnomalies < limit
    draft.anomalies.set(item.id, { anomaly: withoutChart(item), incidentId: id, listed })
    if (listed) {
      draft.links.push({ incidentId: id, anomaly: item })
      draft.timeline.push(anomalyEntry(id, item))
      if (item.endMs !== undefined) draft.timeline.push(recoveredEntry(id, item, item.endMs))
    } else if (listedAnomalies === limit) {
      draft.timeline.push(overflowEntry(id, draft.nowMs, limit))
    }
    listedAnomalies = Math.min(listedAnomalies + 1, limit + 1)
  }
  const felt = item.kind === 'alert' ? alertPages(item) : item.impact
  if (!isOpen(tracked) || !felt) {
    draft.put({ ...tracked, listedAnomalies, causesDue: isOpen(tracked) })
    return false
  }
  const widens = item.service !== '' && !tracked.core.includes(item.service)
  const core = widens ? [...tracked.core, item.service].sort() : tracked.core
  const onsetMs = Math.min(tracked.onsetMs, loose.startMs)
  draft.put({ ...tracked, listedAnomalies, core, onsetMs, causesDue: true })
  return widens || onsetMs < tracked.onsetMs
}

function open(draft: Draft, loose: Loose): void {
  const { nowMs } = draft
  const id = incidentId(loose.id, nowMs)
  const recent = recurrenceOf(draft, loose)
  const tracked: TrackedIncident = {
    // Title, severity, services and impact are filled in by the same step, before anybody sees it.
    incident: {
      id,
      title: '',
      severity: 'info',
      status: 'open',
      services: [],
      impact: '',
      causes: [],
      openedMs: nowMs,
      acknowledgedMs: undefined,
      resolvedMs: undefined,
      updatedMs: nowMs,
    },
    onsetMs: loose.startMs,
    core: [],
    lastImpactMs: nowMs,
    standing: true,
    returns: 0,
    previous: recent === undefined ? null : { cause: recent.announcedCause, returns: returnsOf(recent) },
    changeIds: [],
    listedAnomalies: 0,
    causesDue: true,
    causesMs: 0,
    announcedCause: '',
    closedMs: undefined,
    closedBy: '',
  }
  draft.put(tracked)
  attach(draft, tracked, loose)
}

/** The latest one around the same service that was resolved not long ago: whether it has come back shows when the cause is known. */
function recurrenceOf(draft: Draft, loose: Loose): TrackedIncident | undefined {
  let latest: TrackedIncident | undefined
  for (const tracked of draft.incidents.values()) {
    const { closedMs } = tracked
    if (closedMs === undefined || draft.nowMs - closedMs > draft.config.recurrenceMs || !tracked.core.includes(loose.service)) continue
    if (latest === undefined || closedMs > latest.closedMs! || (closedMs === latest.closedMs && earlier(tracked, latest))) latest = tracked
  }
  return latest
}
