/** A server with nothing but the pages, on a store in memory; its clock stands still, and what is planned is remembered. */
import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import pino from 'pino'
import type { Incident, PlanNotices } from '../../src/model.ts'
import type { Db } from '../../src/store/db.ts'
import { openPglite } from '../../src/store/pglite.ts'
import { Telemetry } from '../../src/telemetry.ts'
import { registerPages } from '../../src/web/server.ts'
import type { PagesOptions } from '../../src/web/server.ts'

export const openedMs = Date.UTC(2026, 2, 1, 3, 4, 5)
export const nowMs = openedMs + 6 * 60_000

export interface WebFixture extends AsyncDisposable {
  readonly app: FastifyInstance
  readonly db: Db
  readonly log: readonly { readonly event?: string; readonly msg: string }[]
  readonly telemetry: Telemetry
}

/** Tells one channel of everything that people do, as a plan would. */
export const planForPager: PlanNotices = (before, after, atMs) => [
  {
    id: `${after.id}-${after.status}`,
    channel: 'pager',
    kind: after.status === 'resolved' ? 'resolved' : 'acknowledged',
    reason: `${before?.status ?? 'new'} → ${after.status}`,
    atMs,
    incident: after,
  },
]

export async function webFixture(options: Partial<PagesOptions> = {}): Promise<WebFixture> {
  const log: { event?: string; msg: string }[] = []
  const telemetry = new Telemetry(pino({ level: 'debug' }, { write: (line: string) => void log.push(JSON.parse(line) as { msg: string }) }))
  const db = options.db ?? (await openPglite())
  const app = fastify()
  await registerPages(app, { db, telemetry, planNotices: planForPager, clock: () => nowMs, token: '', ...options })
  // What stands beside the pages in the real program: none of their rules may reach it.
  app.get('/-/healthy', async () => 'healthy')
  app.post('/door', (request, reply) => reply.send({ body: request.body }))
  return {
    app,
    db,
    log,
    telemetry,
    async [Symbol.asyncDispose]() {
      await app.close()
      await db[Symbol.asyncDispose]()
    },
  }
}

export function incidentNamed(id: string, more: Partial<Incident> = {}): Incident {
  return {
    id,
    title: 'checkout: 38 % of requests fail',
    severity: 'critical',
    status: 'open',
    services: ['checkout', 'payments'],
    impact: 'Users of checkout feel it.',
    causes: [
      {
        service: 'payments',
        probability: 0.71,
        evidence: [{ kind: 'change', points: 2.4, text: 'deployed a minute before', ref: '' }],
        refutedBy: 'Undoing it does not help.',
      },
    ],
    openedMs,
    acknowledgedMs: undefined,
    resolvedMs: undefined,
    updatedMs: openedMs,
    ...more,
  }
}
