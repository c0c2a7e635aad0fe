/** The pages themselves. Buttons are plain forms; scripts only make them smoother. */
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Db } from '../store/db.ts'
import { listIncidents } from '../store/incidents.ts'
import type { Acting } from './acting.ts'
import { readCaseFile } from './case-file.ts'
import { failurePage, incidentPage, missingPage, noteOf } from './incident-page.ts'
import type { Frame } from './layout.ts'
import { listPage } from './list-page.ts'
import { parseId } from './requests.ts'

export interface HtmlOptions {
  readonly db: Db
  readonly acting: Acting
  readonly needsToken: boolean
  readonly frame: () => Frame
}

const limits = { open: 200, resolved: 50 }

export function registerHtml(scope: FastifyInstance, { db, acting, needsToken, frame }: HtmlOptions): void {
  scope.get('/', async (request, reply) => {
    const [open, resolved] = await Promise.all([
      listIncidents(db, { status: 'open', limit: limits.open }),
      listIncidents(db, { status: 'resolved', limit: limits.resolved }),
    ])
    const address = `${request.protocol}://${request.host || 'localhost'}`
    return send(reply, listPage(frame(), { open, resolved, limits, address, needsToken }))
  })

  scope.get<{ Params: { id: string }; Querystring: Record<string, unknown> }>('/incidents/:id', async (request, reply) => {
    const id = parseId(request.params.id)
    const file = id === undefined ? undefined : await readCaseFile(db, id)
    if (!file) return send(reply.code(404), missingPage(frame()))
    return send(reply, incidentPage(frame(), file, noteOf(request.query['note'])))
  })

  for (const kind of ['acknowledge', 'resolve'] as const) {
    scope.post<{ Params: { id: string } }>(`/incidents/:id/${kind}`, async (request, reply) => {
      const outcome = await acting(kind, request.params.id, request.body, request.visitor)
      if (outcome.fate === 'unknown') return send(reply.code(404), missingPage(frame()))
      if (outcome.fate === 'malformed') return send(reply.code(400), failurePage(frame(), 'That did not work', outcome.message))
      return reply.redirect(
        `/incidents/${encodeURIComponent(outcome.incident.id)}${outcome.fate === 'too-late' ? '?note=too-late' : ''}`,
        303,
      )
    })
  }
}

function send(reply: FastifyReply, html: string): FastifyReply {
  return reply.type('text/html; charset=utf-8').send(html)
}
