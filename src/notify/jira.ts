/**
 * Jira: one issue per incident, Cloud by REST v3 and Data Center by v2. Creating has no idempotency key, so the issue carries the label
 * `tocsin-<incident>` and is searched for before it is created. The search of Cloud lags behind by some seconds: after a
 * failed attempt it is asked for a while before its "no" is believed. Later notices are comments; resolving can move the issue on.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { Notice } from '../model.ts'
import { Http, parseJson } from './http.ts'
import type { HttpResponse } from './http.ts'
import { comment, description, marker } from './jira-document.ts'
import { briefOf } from './message.ts'
import type { NotifierContext, NotifierKind, Preview, Sent } from './notifier.ts'
import { clip } from './plain-text.ts'
import { minSeveritySchema } from './reason.ts'

const config = z
  .strictObject({
    url: z.url({ protocol: /^https?$/ }).describe('Base URL: https://NAME.atlassian.net, or that of the Data Center instance'),
    flavor: z
      .enum(['cloud', 'datacenter'])
      .default('cloud')
      .describe('cloud: REST v3, email and API token; datacenter: REST v2, personal access token'),
    email: z.string().default('').describe('Account of the API token; Cloud only'),
    token: z.string().min(1).describe('API token (Cloud) or personal access token (Data Center); keep it out of the file: ${JIRA_TOKEN}'),
    project: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]*$/, 'must be the key of a project, as OPS')
      .describe('Key of the project'),
    issueType: z.string().min(1).default('Task').describe('Type of the issues, by name'),
    labels: z.array(z.string().regex(/^\S+$/, 'must not contain spaces')).max(20).default([]).describe('Labels to add'),
    resolveTransition: z
      .string()
      .default('')
      .describe('Name of the transition, or of the status it leads to, when the incident is resolved; empty: only a comment'),
    settleMs: z
      .int()
      .min(0)
      .max(20_000)
      .default(5000)
      .describe('After a failed attempt: how long to search for the issue it may have made before making another'),
    minSeverity: minSeveritySchema('error'),
    timeoutMs: z.int().min(100).max(60_000).default(10_000).describe('Longest wait for an answer'),
  })
  .refine(({ flavor, email }) => flavor !== 'cloud' || email !== '', { path: ['email'], message: 'is needed with flavor: cloud' })
  .describe('Jira: one issue per incident, with comments')
type JiraConfig = z.infer<typeof config>

const searchEveryMs = 1000
const longestSummary = 255

const searchAnswer = z.object({ issues: z.array(z.object({ key: z.string() })) })
const createAnswer = z.object({ key: z.string() })
const commentsAnswer = z.object({ comments: z.array(z.object({ body: z.unknown() })) })
const transitionsAnswer = z.object({
  transitions: z.array(z.object({ id: z.string(), name: z.string(), to: z.object({ name: z.string() }).optional() })),
})
const errorAnswer = z.object({ errorMessages: z.array(z.string()).default([]), errors: z.record(z.string(), z.string()).default({}) })

export const jiraKind: NotifierKind<JiraConfig> = {
  name: 'jira',
  config,
  tells: ['opened', 'escalated', 'updated', 'resolved'],
  pages: false,
  concurrency: 2,
  create: (settings, context) => new JiraNotifier(settings, context),
  preview(settings, context, notice): Preview[] {
    const root = apiRoot(settings)
    if (notice.externalId === '') return [{ method: 'POST', url: `${root}/issue`, body: issueOf(settings, context, notice) }]
    return [{ method: 'POST', url: `${root}/issue/${notice.externalId}/comment`, body: commentOf(settings, context, notice) }]
  },
}

class JiraNotifier {
  readonly #settings: JiraConfig
  readonly #context: NotifierContext
  readonly #http: Http
  readonly #root: string
  readonly #authorization: string

  constructor(settings: JiraConfig, context: NotifierContext) {
    const { email, flavor, timeoutMs, token } = settings
    const basic = Buffer.from(`${email}:${token}`).toString('base64')
    this.#settings = settings
    this.#context = context
    this.#http = new Http({ timeoutMs, secrets: [token, basic], clock: context.clock })
    this.#root = apiRoot(settings)
    this.#authorization = flavor === 'cloud' ? `Basic ${basic}` : `Bearer ${token}`
  }

  async send(notice: Notice, signal: AbortSignal): Promise<Sent> {
    const key = notice.externalId || (await this.#find(notice, signal))
    if (key === '') {
      // Nobody needs a ticket of what was never ticketed and is over.
      if (notice.kind === 'resolved') return {}
      const { key: created } = createAnswer.parse(
        await this.#call('POST', '/issue', signal, issueOf(this.#settings, this.#context, notice)),
      )
      return { externalId: created }
    }
    if (notice.kind !== 'opened') await this.#comment(notice, key, signal)
    if (notice.kind === 'resolved' && this.#settings.resolveTransition !== '') await this.#transition(key, signal)
    return { externalId: key }
  }

  async #find(notice: Notice, signal: AbortSignal): Promise<string> {
    const rounds = notice.attempts > 0 ? Math.ceil(this.#settings.settleMs / searchEveryMs) : 0
    for (let round = 0; ; round++) {
      const key = await this.#search(notice, signal)
      if (key !== '' || round >= rounds) return key
      await sleep(Math.min(searchEveryMs, this.#settings.settleMs), undefined, { signal })
    }
  }

  async #search(notice: Notice, signal: AbortSignal): Promise<string> {
    const { flavor, project } = this.#settings
    const jql = `project = "${project}" AND labels = "${labelOf(notice)}" ORDER BY created ASC`
    // Cloud has taken /search away: https://developer.atlassian.com/changelog/#CHANGE-2046
    const path = flavor === 'cloud' ? '/search/jql' : '/search'
    const answer = await this.#call('POST', path, signal, { jql, fields: ['summary'], maxResults: 1 })
    return searchAnswer.parse(answer).issues[0]?.key ?? ''
  }

  async #comment(notice: Notice, key: string, signal: AbortSignal): Promise<void> {
    if (notice.attempts > 0) {
      const answer = await this.#call('GET', `/issue/${encodeURIComponent(key)}/comment?orderBy=-created&maxResults=100`, signal)
      const posted = commentsAnswer.parse(answer).comments.some(({ body }) => JSON.stringify(body).includes(marker(notice)))
      if (posted) return
    }
    await this.#call('POST', `/issue/${encodeURIComponent(key)}/comment`, signal, commentOf(this.#settings, this.#context, notice))
  }

  /** Ids differ from workflow to workflow, so it goes by name. Where it is not on offer somebody has moved the issue already. */
  async #transition(key: string, signal: AbortSignal): Promise<void> {
    const path = `/issue/${encodeURIComponent(key)}/transitions`
    const wanted = this.#settings.resolveTransition.toLowerCase()
    const { transitions } = transitionsAnswer.parse(await this.#call('GET', path, signal))
    const found = transitions.find(({ name, to }) => name.toLowerCase() === wanted || to?.name.toLowerCase() === wanted)
    if (found) await this.#call('POST', path, signal, { transition: { id: found.id } })
  }

  async #call(method: 'GET' | 'POST', path: string, signal: AbortSignal, body?: object): Promise<unknown> {
    const headers = { authorization: this.#authorization, ...(body && { 'content-type': 'application/json' }) }
    const response = await this.#http.send({ method, url: this.#root + path, headers, ...(body && { body: JSON.stringify(body) }) }, signal)
    if (response.status < 200 || response.status >= 300)
      throw this.#http.refusal(`Jira (${method} ${path.split('?')[0]})`, response, errorsIn(response))
    return parseJson(response.text) ?? {}
  }
}

/** Labels hold no spaces. */
function labelOf(notice: Notice): string {
  return `tocsin-${notice.incident.id.replace(/[^\w-]/g, '-')}`
}

function apiRoot({ flavor, url }: JiraConfig): string {
  return `${url.replace(/\/+$/, '')}/rest/api/${flavor === 'cloud' ? 3 : 2}`
}

function issueOf(settings: JiraConfig, { publicUrl }: NotifierContext, notice: Notice): object {
  return {
    fields: {
      project: { key: settings.project },
      issuetype: { name: settings.issueType },
      summary: clip(briefOf(notice, publicUrl).title, longestSummary),
      description: description(notice, publicUrl, settings.flavor),
      labels: [labelOf(notice), ...settings.labels],
    },
  }
}

function commentOf({ flavor }: JiraConfig, { publicUrl }: NotifierContext, notice: Notice): object {
  return { body: comment(notice, publicUrl, flavor) }
}

function errorsIn({ text }: HttpResponse): string {
  const answer = errorAnswer.safeParse(parseJson(text))
  if (!answer.success) return text
  return [...answer.data.errorMessages, ...Object.entries(answer.data.errors).map(([field, problem]) => `${field}: ${problem}`)].join('; ')
}
