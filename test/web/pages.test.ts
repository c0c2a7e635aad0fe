/** Pages and API as a browser and a program meet them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { actionsAfter } from '../../src/store/actions.ts'
import { saveAnomalies } from '../../src/store/anomalies.ts'
import { saveIncidents } from '../../src/store/incidents.ts'
import { enqueueNotices, listNotices } from '../../src/store/outbox.ts'
import { addTimeline } from '../../src/store/timeline.ts'
import { incidentJson } from '../../src/web/json.ts'
import { anomaly } from '../contract/db-suite.ts'
import { seedIncident, seedResolved } from '../support/seed-incident.ts'
import type { SeededIncident } from '../support/seed-incident.ts'
import { incidentNamed, nowMs, openedMs, webFixture } from './web-fixture.ts'
import type { WebFixture } from './web-fixture.ts'

let web: WebFixture
let seeded: SeededIncident
beforeAll(async () => {
  web = await webFixture()
})
afterAll(() => web[Symbol.asyncDispose]())

const get = (url: string, headers = {}) => web.app.inject({ method: 'GET', url, headers })
const post = (url: string, body?: string, headers: Record<string, string> = { 'content-type': 'application/json' }) =>
  web.app.inject({ method: 'POST', url, headers, ...(body !== undefined && { payload: body }) })

describe('before the first incident', () => {
  test('the first page tells how to connect senders, at the address it was reached at', async () => {
    const { statusCode, body } = await get('/', { host: 'tocsin.lan:4318' })
    expect(statusCode).toBe(200)
    expect(body).toContain('Nothing is wrong')
    expect(body).toContain('http://tocsin.lan:4318/api/v1/write')
    expect(body).toContain('http://tocsin.lan:4318/loki/api/v1/push')
    expect(body).toContain('OTEL_EXPORTER_OTLP_ENDPOINT=http://tocsin.lan:4318')
  })

  test('the list is empty', async () => {
    expect((await get('/api/v1/incidents')).json()).toEqual({ incidents: [] })
  })
})

describe('an incident', () => {
  beforeAll(async () => {
    seeded = await seedIncident(web.db, openedMs)
    await seedResolved(web.db, openedMs - 26 * 3_600_000)
  })

  test('is on the first page with cause and age, before what is resolved', async () => {
    const { body } = await get('/')
    expect(body).toContain('1 incident is open')
    expect(body).toContain('38 % of requests fail')
    expect(body).toMatch(/Probable cause: <b>payments<\/b> 78 %/)
    expect(body).toMatch(/for <span data-since="\d+">6 min<\/span>/)
    expect(body.indexOf(seeded.incident.id)).toBeLessThan(body.indexOf('<h2>Resolved</h2>'))
    expect(body).toContain('lasted 17 min')
  })

  test('has a page with impact, cause, evidence, what would rule it out, and both buttons', async () => {
    const { statusCode, body } = await get(`/incidents/${seeded.incident.id}`)
    expect(statusCode).toBe(200)
    expect(body).toContain('Users of gateway feel it')
    expect(body).toContain('92 % of the excess failures started here')
    expect(body).toContain('<span class="points">+3.1</span>')
    expect(body).toContain('<span class="points">−0.7</span>')
    expect(body).toContain('What would rule it out:')
    expect(body).toContain(`formaction="/incidents/${seeded.incident.id}/acknowledge"`)
    expect(body).toContain(`formaction="/incidents/${seeded.incident.id}/resolve"`)
  })

  test('says of an anomaly how unlikely it is and how its score was worked out', async () => {
    const { body } = await get(`/incidents/${seeded.incident.id}`)
    const [first] = seeded.anomalies
    expect(body).toContain('by chance about once in 14 weeks for this series')
    const worked = new RegExp(`<details class="reckoning" id="r-${first!.id}">.*?</details>`, 's').exec(body)![0]
    const text = worked.replaceAll(/<[^>]+>/g, ' ').replaceAll(/\s+/g, ' ')
    expect(text).toContain(
      'How this was worked out Rule deviation : distance from the expected value. Score = (observed − expected) ÷ spread',
    )
    expect(text).toMatch(new RegExp(`threshold 5 score ${first!.score} tocsin explain ${first!.id} makes it again`))
    expect(body.match(/class="reckoning"/g), 'one is from before this was told').toHaveLength(seeded.anomalies.length - 1)
    const one = (await get(`/api/v1/anomalies/${first!.id}`)).json<{ incident: string; reckoning: unknown }>()
    expect(one).toMatchObject({ incident: seeded.incident.id, reckoning: { rule: 'deviation', oncePerWeeks: 14 } })
  })

  test('shows a chart for each anomaly, those that are felt first, three of them unfolded', async () => {
    const { body } = await get(`/incidents/${seeded.incident.id}`)
    const charts = [...body.matchAll(/<details class="signal" id="a-([^"]+)"\s*(open)?\s*>/g)]
    expect(charts.map(([, id]) => id?.at(-1))).toEqual(['0', '1', '2', '4', '3', '5'])
    expect(charts.map(([, , open]) => open !== undefined)).toEqual([true, true, true, false, false, false])
    const points = JSON.parse(/data-points="([^"]+)"/.exec(body)?.[1] ?? '') as number[][]
    expect(points).toHaveLength(5)
    expect(new Set(points.map((column) => column.length))).toEqual(new Set([points[0]?.length]))
  })

  test('tells its timeline from the change on, counted from the onset, notices among it', async () => {
    const { body } = await get(`/incidents/${seeded.incident.id}`)
    const kinds = [...body.matchAll(/<li id="t-[^"]*" data-kind="([^"]+)"/g)].map(([, kind]) => kind)
    expect(kinds[0]).toBe('change')
    expect(kinds.filter((kind) => kind === 'notice')).toHaveLength(4)
    expect(kinds.at(-1)).toBe('recovered')
    expect(body).toContain('<span class="offset">−60 s</span>')
    expect(body).toContain('<a href="https://ci.example.com/payments/2.4.0" rel="noreferrer noopener">')
  })

  test('says at the top who could not be told', async () => {
    const { body } = await get(`/incidents/${seeded.incident.id}`)
    expect(body).toMatch(/<b>jira<\/b> was not told \(opened\): Jira answered 401/)
  })

  test('comes as JSON with all that belongs to it', async () => {
    const { body } = await get(`/api/v1/incidents/${seeded.incident.id}`)
    const file = JSON.parse(body) as {
      timeline: { at: string; kind: string }[]
      anomalies: { points: { observed: number[] } }[]
      notices: { status: string }[]
    }
    expect(file).toMatchObject({ id: seeded.incident.id, openedAt: '2026-03-01T03:04:05.000Z', acknowledgedAt: null, resolvedAt: null })
    expect(file.timeline[0]).toMatchObject({ kind: 'change', at: '2026-03-01T03:00:55.000Z' })
    expect(file.anomalies).toHaveLength(6)
    expect(file.anomalies[0]?.points.observed.length).toBeGreaterThan(100)
    expect(file.notices.map(({ status }) => status)).toEqual(['sent', 'sent', 'dead', 'sent'])
  })

  test.each([
    ['', 2],
    ['?status=all', 2],
    ['?status=open', 1],
    ['?status=resolved', 1],
    ['?limit=1', 1],
  ])('is listed by the API: %s', async (query, count) => {
    const { incidents } = (await get(`/api/v1/incidents${query}`)).json<{ incidents: { id: string }[] }>()
    expect(incidents).toHaveLength(count)
    if (!query.includes('resolved')) expect(incidents[0]).toEqual(incidentJson(seeded.incident))
  })
})

describe('what comes from telemetry', () => {
  const evil = `</script><script>alert(1)</script>"'><img src=x onerror=alert(2)>\u0000\u202E`

  test('never becomes markup, wherever it stands', async () => {
    const id = 'evil-1'
    const cause = { service: evil, probability: NaN, evidence: [{ kind: evil, points: NaN, text: evil, ref: evil }], refutedBy: evil }
    await saveIncidents(web.db, [incidentNamed(id, { title: evil, impact: evil, services: [evil, '__proto__'], causes: [cause] })])
    await saveAnomalies(web.db, [
      {
        incidentId: id,
        anomaly: {
          ...anomaly,
          id: 'evil-a',
          service: evil,
          instance: evil,
          subject: evil,
          unit: evil,
          detector: evil,
          evidence: [evil],
          score: NaN,
          observed: NaN,
          expected: Infinity,
          reckoning: {
            rule: evil,
            inputs: [
              [evil, NaN],
              ['__proto__', 1],
            ],
            oncePerWeeks: Infinity,
          },
        },
      },
    ])
    await addTimeline(web.db, [{ id: 'evil-t', incidentId: id, atMs: openedMs, kind: 'change', service: evil, text: evil, ref: evil }])
    for (const url of ['/', `/incidents/${id}`]) {
      const { statusCode, body } = await get(url)
      expect(statusCode).toBe(200)
      expect(body).toContain('&lt;script&gt;alert(1)')
      expect(body).not.toContain('<script>alert')
      expect(body).not.toContain('<img src=x')
      expect(body).not.toContain('\u202E')
    }
    expect((await get(`/api/v1/incidents/${id}`)).statusCode).toBe(200)
  })

  test('an address of a change is a link only when it is one of the web', async () => {
    const { body } = await get('/incidents/evil-1')
    expect(body).not.toContain('javascript:')
  })

  test('an id that is none is told as such', async () => {
    for (const id of ['nope', '%00', encodeURIComponent(evil)]) {
      const answer = await get(`/api/v1/anomalies/${id}`)
      expect([answer.statusCode, answer.json()], id).toEqual([404, { error: 'There is no anomaly with this id.' }])
    }
  })

  test('a flood of anomalies and entries stays a page', async () => {
    const id = 'flood-1'
    const long = Array.from({ length: 1000 }, (_, i) => i)
    await saveIncidents(web.db, [incidentNamed(id, { title: 'x'.repeat(50_000), services: long.map((i) => `service-${i}`) })])
    const points = { timeMs: long, observed: long, expected: long, low: long, high: long }
    await saveAnomalies(
      web.db,
      long.slice(0, 300).map((i) => ({ incidentId: id, anomaly: { ...anomaly, id: `flood-${i}`, points } })),
    )
    await addTimeline(
      web.db,
      long.map((i) => ({
        id: `flood-t${i}`,
        incidentId: id,
        atMs: openedMs + i,
        kind: 'anomaly',
        service: 'x',
        text: 'y'.repeat(2000),
        ref: '',
      })),
    )
    const { statusCode, body } = await get(`/incidents/${id}`)
    expect(statusCode).toBe(200)
    expect(body.length).toBeLessThan(1_500_000)
    expect(body).toContain('100 more are not listed here')
    expect(body).toContain('The last 300 of 1000')
  })
})

describe('acting', () => {
  /** An incident that the pager has been told of: what follows is told where the opening was. */
  const told = async (id: string) => {
    const incident = incidentNamed(id)
    await saveIncidents(web.db, [incident])
    await enqueueNotices(web.db, [{ id: `${id}-new`, channel: 'pager', kind: 'opened', reason: 'new', atMs: openedMs, incident }])
  }

  test('a program acknowledges, then resolves: the incident moves on, notices go out, the second time is refused', async () => {
    await told('act-1')
    const first = await post('/api/v1/incidents/act-1/acknowledge', '{"by":"Ann"}')
    expect(first.statusCode).toBe(200)
    expect(first.json()).toMatchObject({ id: 'act-1', status: 'acknowledged', acknowledgedAt: new Date(nowMs).toISOString() })
    const again = await post('/api/v1/incidents/act-1/acknowledge', '{"by":"Bob"}')
    expect(again.statusCode).toBe(409)
    expect(again.json()).toMatchObject({ error: expect.stringContaining('already acknowledged'), incident: { status: 'acknowledged' } })
    expect((await post('/api/v1/incidents/act-1/resolve')).json()).toMatchObject({ status: 'resolved' })
    expect((await post('/api/v1/incidents/act-1/acknowledge')).statusCode).toBe(409)
    expect((await listNotices(web.db, 'act-1')).map(({ kind, reason }) => [kind, reason])).toEqual([
      ['opened', 'new'],
      ['acknowledged', 'open → acknowledged'],
      ['resolved', 'acknowledged → resolved'],
    ])
    expect(
      (await actionsAfter(web.db, 0, 100)).filter(({ incidentId }) => incidentId === 'act-1').map(({ kind, by }) => [kind, by]),
    ).toEqual([
      ['acknowledge', 'Ann'],
      ['resolve', 'Somebody'],
    ])
    expect((await get('/incidents/act-1')).body).toContain('Ann acknowledged the incident.')
  })

  test('ten people press at once: one of them does it', async () => {
    await told('act-2')
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => post('/api/v1/incidents/act-2/acknowledge', JSON.stringify({ by: `p${i}` }))),
    )
    expect(answers.map(({ statusCode }) => statusCode).sort((a, b) => a - b)).toEqual([200, ...Array<number>(9).fill(409)])
    expect((await listNotices(web.db, 'act-2')).map(({ kind }) => kind)).toEqual(['opened', 'acknowledged'])
  })

  test('a browser without scripts posts the form and is sent back to the page, which says when it was too late', async () => {
    await saveIncidents(web.db, [incidentNamed('act-3')])
    const form = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }
    const first = await post('/incidents/act-3/acknowledge', 'by=Ann+%3Cb%3E&action=acknowledge', form)
    expect([first.statusCode, first.headers.location]).toEqual([303, '/incidents/act-3'])
    const { body } = await get('/incidents/act-3')
    expect(body).toContain('Ann &lt;b&gt; acknowledged the incident.')
    expect(body).not.toContain('id="acknowledge"')
    expect(body).toContain('id="resolve"')
    const again = await post('/incidents/act-3/acknowledge', 'by=', form)
    expect([again.statusCode, again.headers.location]).toEqual([303, '/incidents/act-3?note=too-late'])
    expect((await get('/incidents/act-3?note=too-late')).body).toContain('somebody, or the recovery, was faster')
    expect((await get('/incidents/act-3?note=<b>')).body).not.toContain('note=<b>')
  })

  test.each([
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['another site over plain HTTP', { origin: 'http://evil.example' }],
  ])('a page of %s cannot press our buttons', async (_, headers) => {
    await saveIncidents(web.db, [incidentNamed('act-4')])
    for (const url of ['/incidents/act-4/resolve', '/api/v1/incidents/act-4/resolve']) {
      const { statusCode } = await post(url, 'by=x', { 'content-type': 'application/x-www-form-urlencoded', ...headers })
      expect(statusCode).toBe(403)
    }
    expect((await get('/api/v1/incidents/act-4')).json()).toMatchObject({ status: 'open' })
  })
})

describe('bad input', () => {
  const json = { 'content-type': 'application/json' }
  test.each<[string, 'GET' | 'POST', string, number, string?, Record<string, string>?]>([
    ['an id that is none', 'GET', '/api/v1/incidents/nope', 404],
    ['an id with U+0000', 'GET', '/api/v1/incidents/a%00b', 404],
    ['an id with markup', 'GET', '/incidents/%3Cscript%3E', 404],
    ['an id with a path in it', 'GET', '/incidents/..%2F..%2Fetc', 404],
    ['an id of 99 characters', 'GET', `/incidents/${'a'.repeat(99)}`, 404],
    ['an id of 10,000 characters', 'GET', `/incidents/${'a'.repeat(10_000)}`, 414],
    ['__proto__', 'GET', '/api/v1/incidents/__proto__', 404],
    ['half an escape', 'GET', '/incidents/%', 400],
    ['an unknown status', 'GET', '/api/v1/incidents?status=closed', 400],
    ['a status twice', 'GET', '/api/v1/incidents?status=open&status=all', 400],
    ['a limit of nothing', 'GET', '/api/v1/incidents?limit=0', 400],
    ['a limit of too much', 'GET', '/api/v1/incidents?limit=1001', 400],
    ['a limit that is no number', 'GET', '/api/v1/incidents?limit=ten', 400],
    ['half a limit', 'GET', '/api/v1/incidents?limit=1.5', 400],
    ['acting on an unknown incident', 'POST', '/api/v1/incidents/nope/acknowledge', 404, '{}', json],
    [
      'acting on an id with U+0000',
      'POST',
      '/incidents/%00/acknowledge',
      404,
      'by=x',
      { 'content-type': 'application/x-www-form-urlencoded' },
    ],
    ['a body that is not JSON', 'POST', '/api/v1/incidents/bad-1/acknowledge', 400, '{"by":', json],
    ['a body that is a list', 'POST', '/api/v1/incidents/bad-1/acknowledge', 400, '["by"]', json],
    ['a body that is a word', 'POST', '/api/v1/incidents/bad-1/acknowledge', 400, '"by"', json],
    ['a name that is a number', 'POST', '/api/v1/incidents/bad-1/acknowledge', 400, '{"by":3}', json],
    ['a name that is too long', 'POST', '/api/v1/incidents/bad-1/acknowledge', 400, JSON.stringify({ by: 'x'.repeat(401) }), json],
    ['a body that is too large', 'POST', '/api/v1/incidents/bad-1/acknowledge', 413, JSON.stringify({ by: 'x'.repeat(9000) }), json],
    ['a body of another type', 'POST', '/api/v1/incidents/bad-1/acknowledge', 415, '<by/>', { 'content-type': 'text/xml' }],
    ['an action that does not exist', 'POST', '/api/v1/incidents/bad-1/delete', 404, '{}', json],
    ['a file that does not exist', 'GET', '/assets/x/page.php', 404],
    ['a file outside', 'GET', '/assets/x/..%2F..%2Fserver.ts', 404],
  ])('%s', async (_, method, url, status, body, headers = {}) => {
    await saveIncidents(web.db, [incidentNamed('bad-1')])
    const answer = await web.app.inject({ method, url, headers, ...(body !== undefined && { payload: body }) })
    expect(answer.statusCode).toBe(status)
    expect((await get('/api/v1/incidents/bad-1')).json()).toMatchObject({ status: 'open' })
  })

  test('a name of blanks and control characters is nobody’s', async () => {
    await saveIncidents(web.db, [incidentNamed('bad-2')])
    expect((await post('/api/v1/incidents/bad-2/acknowledge', '{"by":" \\u0000\\u202e "}')).statusCode).toBe(200)
    expect((await get('/incidents/bad-2')).body).toContain('Somebody acknowledged the incident.')
  })
})

describe('every answer', () => {
  test.each(['/', '/incidents/nope', '/api/v1/incidents', '/api/v1/incidents/nope'])('%s is kept to itself', async (url) => {
    const { headers } = await get(url)
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'.*frame-ancestors 'none'$/)
    expect(headers['content-security-policy']).not.toContain('unsafe')
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store', 'referrer-policy': 'same-origin' })
  })

  test('pages ask nothing of other servers and carry no script or style of their own', async () => {
    const { body } = await get(`/incidents/${seeded.incident.id}`)
    expect([...body.matchAll(/(?:src|href)="(?:https?:)?\/\/[^"]*"/g)].map(([found]) => found)).toEqual([
      'href="https://ci.example.com/payments/2.4.0"',
    ])
    expect(body).not.toMatch(/<style|\sstyle=|\son\w+="|<script(?! type="module" src="\/assets)/)
  })

  test('style and chart library come with their type, zipped, and are kept by their hash', async () => {
    const address = /href="(\/assets\/[0-9a-f]{12}\/style\.css)"/.exec((await get('/')).body)?.[1] ?? ''
    const { statusCode, headers, body } = await get(address)
    expect([statusCode, headers['content-type'], headers['cache-control']]).toEqual([
      200,
      'text/css; charset=utf-8',
      'private, max-age=31536000, immutable',
    ])
    expect(body).toContain('prefers-color-scheme: dark')
    expect((await get(address, { 'accept-encoding': 'gzip, br' })).headers['content-encoding']).toBe('gzip')
    expect((await get(address, { 'accept-encoding': 'gzip;q=0' })).headers['content-encoding']).toBeUndefined()
    expect((await get(address, { 'if-none-match': headers.etag })).statusCode).toBe(304)
    const chart = await get(address.replace('style.css', 'uPlot.esm.js'))
    expect([chart.statusCode, chart.headers['content-type']]).toEqual([200, 'text/javascript; charset=utf-8'])
    expect((await get('/assets/of-an-older-version/style.css')).headers['cache-control']).toBe('no-cache')
  })

  test('what stands beside the pages is left alone', async () => {
    const healthy = await get('/-/healthy')
    expect(healthy.headers['content-security-policy']).toBeUndefined()
    expect((await post('/door', '{"a":1}')).json()).toEqual({ body: { a: 1 } })
    expect((await post('/door', '{"a":1}', { 'content-type': 'application/json', origin: 'http://evil.example' })).statusCode).toBe(200)
  })
})

test('a store that fails is told as such, logged and counted, and nothing of it is shown', async () => {
  await using broken = await webFixture({
    db: {
      kind: 'pglite',
      query: () => Promise.reject(new Error('secret host db-7 is down')),
      transaction: () => Promise.reject(new Error('secret host db-7 is down')),
      listen: () => Promise.resolve({ [Symbol.asyncDispose]: async () => undefined }),
      [Symbol.asyncDispose]: async () => undefined,
    },
  })
  const page = await broken.app.inject('/')
  const api = await broken.app.inject('/api/v1/incidents')
  expect([page.statusCode, api.statusCode]).toEqual([500, 500])
  expect(page.headers['content-type']).toContain('text/html')
  expect(api.json()).toEqual({ error: expect.stringContaining('its log says why') as string })
  expect(page.body + api.body).not.toContain('db-7')
  expect(broken.log.filter(({ event }) => event === 'page_failed')).toHaveLength(2)
  expect(await broken.telemetry.registry.metrics()).toContain('tocsin_page_failed_total 2')
})

test('where the scripts have not been built the pages say so, and so does the log', async () => {
  const bare = await webFixture({ db: web.db, scripts: new URL('file:///nowhere/at/all/') })
  const { body } = await bare.app.inject(`/incidents/${seeded.incident.id}`)
  expect(body).toContain('run <code>npm run build</code>')
  expect(body).not.toContain('<script')
  expect(bare.log.map(({ event }) => event)).toContain('scripts_not_built')
  await bare.app.close()
})

describe('with a token', () => {
  const token = 'a long token'
  let closed: WebFixture
  beforeAll(async () => {
    closed = await webFixture({ token })
    await saveIncidents(closed.db, [incidentNamed('tok-1')])
  })
  afterAll(() => closed[Symbol.asyncDispose]())

  const password = { authorization: `Basic ${Buffer.from(`ann:${token}`).toString('base64')}` }

  test('browsers are asked for a password, programs are not; both are refused without it', async () => {
    const page = await closed.app.inject('/')
    expect([page.statusCode, page.headers['www-authenticate']]).toEqual([401, 'Basic realm="Tocsin", charset="UTF-8"'])
    const api = await closed.app.inject('/api/v1/incidents')
    expect([api.statusCode, api.headers['www-authenticate']]).toEqual([401, 'Bearer realm="Tocsin"'])
    expect((await closed.app.inject('/api/v1/stream')).statusCode).toBe(401)
    expect((await closed.app.inject({ method: 'POST', url: '/api/v1/incidents/tok-1/resolve' })).statusCode).toBe(401)
    expect(page.body + api.body).not.toContain('checkout')
    expect((await closed.app.inject('/-/healthy')).statusCode).toBe(200)
  })

  test('who gave the password is who acted', async () => {
    expect((await closed.app.inject({ url: '/', headers: password })).statusCode).toBe(200)
    const answer = await closed.app.inject({
      method: 'POST',
      url: '/incidents/tok-1/acknowledge',
      headers: { ...password, 'content-type': 'application/x-www-form-urlencoded' },
      payload: 'by=',
    })
    expect(answer.statusCode).toBe(303)
    expect((await closed.app.inject({ url: '/incidents/tok-1', headers: password })).body).toContain('ann acknowledged the incident.')
    expect((await closed.app.inject({ url: '/incidents/tok-1', headers: password })).body).not.toContain(token)
  })
})
