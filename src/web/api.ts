/** Incidents as JSON, and what people can do to them. Errors are `{"error": "what and what to do"}`. */
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { readAnomaly } from '../store/anomalies.ts'
import type { Db } from '../store/db.ts'
import { listIncidents } from '../store/incidents.ts'
import type { Acting } from './acting.ts'
import { readCaseFile } from './case-file.ts'
import { anomalyJson, caseFileJson, incidentJson } from './json.ts'
import { parseId } from './requests.ts'

const listQuery = z.object({
  status: z.enum(['open', 'resolved', 'all'], 'status must be open, resolved or all').default('all'),
  limit: z.coerce
    .number('limit must be a number')
    .int('limit must be a whole number')
    .min(1, 'limit must be 1 or more')
    .max(1000, 'limit must be 1000 or less')
    .default(100),
})

export function registerApi(scope: FastifyInstance, { db, acting }: { db: Db; acting: Acting }): void {
  scope.get('/api/v1/incidents', async (request, reply) => {
    const query = listQuery.safeParse(request.query)
    if (!query.success) return reply.code(400).send({ error: query.error.issues.map(({ message }) => message).join('; ') })
    const incidents = await listIncidents(db, query.data)
    return { incidents: incidents.map(incidentJson) }
  })

  scope.get<{ Params: { id: string } }>('/api/v1/incidents/:id', async (request, reply) => {
    const id = parseId(request.params.id)
    const file = id === undefined ? undefined : await readCaseFile(db, id)
    return file ? caseFileJson(file) : unknown(reply)
  })

  scope.get<{ Params: { id: string } }>('/api/v1/anomalies/:id', async (request, reply) => {
    const id = parseId(request.params.id)
    const found = id === undefined ? undefined : await readAnomaly(db, id)
    if (!found) return reply.code(404).send({ error: 'There is no anomaly with this id.' })
    return { ...anomalyJson(found.anomaly), incident: found.incidentId }
  })

  for (const kind of ['acknowledge', 'resolve'] as const) {
    scope.post<{ Params: { id: string } }>(`/api/v1/incidents/:id/${kind}`, async (request, reply) => {
      const outcome = await acting(kind, request.params.id, request.body, request.visitor)
      if (outcome.fate === 'unknown') return unknown(reply)
      if (outcome.fate === 'malformed') return reply.code(400).send({ error: outcome.message })
      const incident = incidentJson(outcome.incident)
      if (outcome.fate === 'done') return incident
      return reply.code(409).send({ error: `Nothing was changed: the incident is already ${incident.status}.`, incident })
    })
  }
}

function unknown(reply: FastifyReply): FastifyReply {
  return reply.code(404).send({ error: 'There is no incident with this id.' })
}
