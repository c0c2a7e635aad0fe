/** What a person does to an incident, and the notices that follow from it: one transaction, so that neither is without the other. */
import type { Incident, PlanNotices } from '../model.ts'
import { act } from '../store/actions.ts'
import type { Action } from '../store/actions.ts'
import type { Db } from '../store/db.ts'
import { enqueueNotices } from '../store/outbox.ts'
import type { Telemetry } from '../telemetry.ts'
import { parseAct, parseId } from './requests.ts'

export type ActionKind = Action['kind']

export type Outcome =
  | { readonly fate: 'done'; readonly incident: Incident }
  /** It had come as far, or further, before. */
  | { readonly fate: 'too-late'; readonly incident: Incident }
  | { readonly fate: 'unknown' }
  | { readonly fate: 'malformed'; readonly message: string }

export interface ActingOptions {
  readonly db: Db
  readonly planNotices: PlanNotices
  readonly telemetry: Telemetry
  readonly clock: () => number
}

/** `id` and `body` as they came; `visitor` is who it was when the body does not say. */
export type Acting = (kind: ActionKind, id: string, body: unknown, visitor: string) => Promise<Outcome>

export function createActing({ db, planNotices, telemetry, clock }: ActingOptions): Acting {
  const acted = telemetry.happening({
    name: 'person_acted',
    help: 'Somebody acted on an incident.',
    level: 'info',
    labels: ['action', 'fate'],
  })
  return async (kind, id, body, visitor) => {
    const incidentId = parseId(id)
    if (incidentId === undefined) return { fate: 'unknown' }
    const said = parseAct(body, visitor)
    if (typeof said === 'string') return { fate: 'malformed', message: said }
    const outcome = await takeAction(db, planNotices, { incidentId, kind, by: said.by, atMs: clock() })
    acted({ action: kind, fate: outcome.fate }, { incident: incidentId, by: said.by })
    return outcome
  }
}

function takeAction(db: Db, planNotices: PlanNotices, action: Omit<Action, 'seq'>): Promise<Outcome> {
  return db.transaction(async (tx): Promise<Outcome> => {
    const acted = await act(tx, action)
    if (!acted) return { fate: 'unknown' }
    const { before, after } = acted
    if (before === after) return { fate: 'too-late', incident: after }
    await enqueueNotices(tx, planNotices(before, after, action.atMs))
    return { fate: 'done', incident: after }
  })
}
