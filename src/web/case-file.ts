/** All there is to know about one incident, read together. */
import type { Anomaly, Incident, TimelineEntry } from '../model.ts'
import { readAnomalies } from '../store/anomalies.ts'
import { readChanges } from '../store/changes.ts'
import type { Queryable } from '../store/db.ts'
import { readIncident } from '../store/incidents.ts'
import { listNotices } from '../store/outbox.ts'
import type { ListedNotice } from '../store/outbox.ts'
import { readTimeline } from '../store/timeline.ts'

export interface CaseFile {
  readonly incident: Incident
  readonly timeline: readonly TimelineEntry[]
  readonly anomalies: readonly Anomaly[]
  readonly notices: readonly ListedNotice[]
  /** Where to read more about a change, by its id: http and https only. */
  readonly changeUrls: ReadonlyMap<string, string>
}

const mostChangeUrls = 20

export async function readCaseFile(q: Queryable, id: string): Promise<CaseFile | undefined> {
  const incident = await readIncident(q, id)
  if (!incident) return undefined
  const [timeline, anomalies, notices] = await Promise.all([readTimeline(q, id), readAnomalies(q, id), listNotices(q, id)])
  return { incident, timeline, anomalies, notices, changeUrls: await readChangeUrls(q, timeline) }
}

/** When it began: an incident is opened a little after the first thing that went wrong. */
export function onsetMs({ incident, anomalies }: Pick<CaseFile, 'incident' | 'anomalies'>): number {
  let onset = incident.openedMs
  for (const { startMs } of anomalies) if (startMs < onset) onset = startMs
  return onset
}

async function readChangeUrls(q: Queryable, timeline: readonly TimelineEntry[]): Promise<Map<string, string>> {
  const urls = new Map<string, string>()
  for (const entry of timeline.filter(({ kind }) => kind === 'change').slice(-mostChangeUrls)) {
    for (const change of await readChanges(q, entry.atMs, entry.atMs + 1)) {
      if (change.id === entry.ref && isWebAddress(change.url)) urls.set(change.id, change.url)
    }
  }
  return urls
}

/** Not `javascript:` and its kin: addresses come from whoever reports a change. */
function isWebAddress(url: string): boolean {
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
}
