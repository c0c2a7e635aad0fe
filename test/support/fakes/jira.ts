/**
 * The part of Jira that keeps a ticket: Cloud (v3, documents, `/search/jql`, the old `/search` gone) or Data Center (v2, text). Search can be
 * made to lag behind, as that of Cloud does. https://developer.atlassian.com/cloud/jira/platform/rest/v3/
 */
import { parseBody, startFake } from './server.ts'
import type { Answer, Fake, FakeRequest } from './server.ts'

export interface JiraIssue {
  readonly key: string
  readonly fields: Readonly<Record<string, unknown>> & { readonly labels: readonly string[]; readonly summary: string }
  readonly comments: { readonly body: unknown }[]
  status: string
}

export interface FakeJira extends Fake {
  readonly issues: readonly JiraIssue[]
  /** While it is on, search does not find what is made from now on; off, it finds all. */
  lagging(on: boolean): void
}

export interface JiraOptions {
  readonly flavor?: 'cloud' | 'datacenter'
  readonly project?: string
  readonly email?: string
  readonly token?: string
  readonly port?: number
}

export async function startJira(options: JiraOptions = {}): Promise<FakeJira> {
  const { email = 'bot@example.com', flavor = 'cloud', project = 'OPS', token = 'jira-token' } = options
  const issues: JiraIssue[] = []
  const unseen = new Set<string>()
  let lagging = false
  const root = `/rest/api/${flavor === 'cloud' ? 3 : 2}`
  const authorization = flavor === 'cloud' ? `Basic ${Buffer.from(`${email}:${token}`).toString('base64')}` : `Bearer ${token}`

  const handle = (request: FakeRequest): Answer => {
    if (request.headers['authorization'] !== authorization) return failed(401, 'Client must be authenticated to access this resource.')
    const path = request.path.startsWith(root) ? request.path.slice(root.length) : ''
    const route = `${request.method} ${path.replace(/^\/issue\/[^/]+/, '/issue/KEY')}`
    const body = parseBody(request) ?? {}
    if (route === 'POST /issue') return create(body)
    if (route === 'POST /search' && flavor === 'cloud')
      return failed(410, 'The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.')
    if (route === (flavor === 'cloud' ? 'POST /search/jql' : 'POST /search')) return search(body)
    const issue = issues.find(({ key }) => path.split('/')[2] === key)
    if (!issue) return failed(404, 'Issue does not exist or you do not have permission to see it.')
    if (route === 'GET /issue/KEY/comment')
      return { status: 200, body: { comments: [...issue.comments].reverse(), total: issue.comments.length } }
    if (route === 'POST /issue/KEY/comment') return addComment(issue, body)
    if (route === 'GET /issue/KEY/transitions') return { status: 200, body: { transitions: transitionsOf(issue) } }
    if (route === 'POST /issue/KEY/transitions') return transition(issue, body)
    return failed(405, 'Method not allowed')
  }

  const create = (body: Record<string, unknown>): Answer => {
    const fields = (body['fields'] ?? {}) as Record<string, unknown>
    const errors: Record<string, string> = {}
    const {
      description,
      issuetype,
      labels = [],
      project: given,
      summary,
    } = fields as {
      description?: unknown
      issuetype?: { name?: string }
      labels?: string[]
      project?: { key?: string }
      summary?: unknown
    }
    if (given?.key !== project) errors['project'] = 'valid project is required'
    if (!issuetype?.name) errors['issuetype'] = 'Specify an issue type'
    if (typeof summary !== 'string' || summary === '') errors['summary'] = 'You must specify a summary of the issue.'
    else if (summary.length > 255) errors['summary'] = 'Summary must be less than 255 characters.'
    else if (/[\r\n]/.test(summary)) errors['summary'] = 'The summary is invalid because it contains newline characters.'
    if (labels.some((label) => /\s/.test(label))) errors['labels'] = 'The label contains spaces which is invalid.'
    const problem = description === undefined ? '' : textProblem(description)
    if (problem !== '') errors['description'] = problem
    if (Object.keys(errors).length > 0) return { status: 400, body: { errorMessages: [], errors } }
    const issue: JiraIssue = {
      key: `${project}-${issues.length + 1}`,
      fields: { ...fields, labels, summary: String(summary) },
      comments: [],
      status: 'Open',
    }
    issues.push(issue)
    if (lagging) unseen.add(issue.key)
    return { status: 201, body: { id: String(10_000 + issues.length), key: issue.key, self: `${root}/issue/${10_000 + issues.length}` } }
  }

  const search = (body: Record<string, unknown>): Answer => {
    const label = /labels = "([^"]+)"/.exec(String(body['jql']))?.[1]
    if (label === undefined) return failed(400, 'Error in the JQL Query')
    if (!Array.isArray(body['fields'])) return failed(400, 'fields are required')
    const found = issues.filter(({ fields, key }) => fields.labels.includes(label) && !unseen.has(key))
    return { status: 200, body: { issues: found.slice(0, Number(body['maxResults'] ?? 50)).map(({ key }) => ({ key })) } }
  }

  const addComment = (issue: JiraIssue, body: Record<string, unknown>): Answer => {
    const problem = textProblem(body['body'])
    if (problem !== '') return { status: 400, body: { errorMessages: [], errors: { comment: problem } } }
    issue.comments.push({ body: body['body'] })
    return { status: 201, body: { id: String(issue.comments.length), body: body['body'] } }
  }

  const textProblem = (text: unknown): string => {
    if (flavor === 'datacenter') return typeof text === 'string' && text.length <= 32_767 ? '' : 'Operation value must be a string'
    const doc = text as { type?: string; version?: number; content?: unknown[] } | undefined
    if (doc?.type !== 'doc' || doc.version !== 1 || !Array.isArray(doc.content)) return 'Operation value must be an Atlassian Document'
    return JSON.stringify(doc).includes('"text":""') || JSON.stringify(doc).length > 32_767 ? 'INVALID_INPUT' : ''
  }

  const fake = await startFake(handle, options.port)
  return {
    ...fake,
    issues,
    lagging(on) {
      lagging = on
      if (!on) unseen.clear()
    },
  }
}

function failed(status: number, message: string): Answer {
  return { status, body: { errorMessages: [message], errors: {} } }
}

function transitionsOf(issue: JiraIssue) {
  return issue.status === 'Done'
    ? [{ id: '11', name: 'Reopen', to: { name: 'Open' } }]
    : [{ id: '31', name: 'Close issue', to: { name: 'Done' } }]
}

function transition(issue: JiraIssue, body: Record<string, unknown>): Answer {
  const wanted = (body['transition'] as { id?: string } | undefined)?.id
  const found = transitionsOf(issue).find(({ id }) => id === wanted)
  if (!found)
    return failed(
      400,
      `It seems that you have tried to perform a workflow operation that is not valid for the current state of this issue.`,
    )
  issue.status = found.to.name
  return { status: 204 }
}
