import { describe, expect, it } from 'vitest'
import type { Alert, Change } from '../../src/model.ts'
import { NOW_MS, eventsOf, openDoors, postJson } from './doors-fixture.ts'

describe('an alert from Prometheus', () => {
  const posted = {
    labels: { severity: 'page', alertname: 'HighErrors', service: 'checkout', instance: 'a:1' },
    annotations: { summary: 'Errors above 5 %', description: 'longer' },
    startsAt: '2026-11-23T15:50:00.168065435Z',
    endsAt: '2026-11-23T16:04:00.168Z',
    generatorURL: 'http://prometheus/graph?g0.expr=a%3Eb',
  }

  async function taken(...alerts: object[]): Promise<Alert[]> {
    const { door, transport } = openDoors()
    const response = await door.accept(postJson('/api/v2/alerts', alerts))
    expect([response.status, response.body]).toEqual([200, ''])
    return eventsOf(transport.of('events')) as Alert[]
  }

  it('becomes an event of its service', async () => {
    expect(await taken(posted)).toEqual([
      {
        kind: 'alert',
        id: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
        name: 'HighErrors',
        service: 'checkout',
        severity: 'critical',
        summary: 'Errors above 5 %',
        labels: [
          ['alertname', 'HighErrors'],
          ['instance', 'a:1'],
          ['service', 'checkout'],
          ['severity', 'page'],
        ],
        startMs: Date.parse('2026-11-23T15:50:00.168Z'),
        endMs: Date.parse('2026-11-23T16:04:00.168Z'),
        atMs: NOW_MS,
        url: 'http://prometheus/graph?g0.expr=a%3Eb',
      },
    ])
  })

  it('keeps its id when it is repeated and when it is resolved, and gets another when it fires anew', async () => {
    const ids = (
      await taken(
        posted,
        {
          ...posted,
          labels: { instance: 'a:1', service: 'checkout', alertname: 'HighErrors', severity: 'page' },
          endsAt: '2026-11-23T16:05:00Z',
        },
        { ...posted, endsAt: '2026-11-23T15:59:00Z' },
        { ...posted, startsAt: '2026-11-23T15:55:00Z' },
      )
    ).map((alert) => alert.id)
    expect(ids.slice(0, 3)).toEqual([ids[0], ids[0], ids[0]])
    expect(ids[3]).not.toBe(ids[0])
  })

  it.each([undefined, null, '', '0001-01-01T00:00:00Z'])('without an end (%j) lasts five minutes from now', async (endsAt) => {
    expect((await taken({ ...posted, endsAt }))[0]!.endMs).toBe(NOW_MS + 300_000)
  })

  it('from amtool: hardly anything is said', async () => {
    expect(await taken({ labels: { alertname: 'Bare' } })).toMatchObject([
      { name: 'Bare', service: 'unknown', severity: 'warning', summary: 'Bare', startMs: NOW_MS, url: '' },
    ])
  })

  it('never links to anything but a web page', async () => {
    expect((await taken({ ...posted, generatorURL: 'javascript:alert(1)' }))[0]!.url).toBe('')
  })
})

describe('a change', () => {
  const deploy = {
    type: 'deploy',
    service: 'checkout',
    version: '1.4.2',
    title: 'Faster cart',
    time: '2026-11-23T15:58:00+00:00',
    url: 'https://ci/7',
  }

  async function taken(body: unknown): Promise<{ changes: Change[]; ids: string[] }> {
    const { door, transport } = openDoors()
    const response = await door.accept(postJson('/api/v1/events', body))
    expect(response.status).toBe(202)
    return { changes: eventsOf(transport.of('events')) as Change[], ids: (JSON.parse(String(response.body)) as { ids: string[] }).ids }
  }

  it('is taken with all it says, and the answer tells its id', async () => {
    const { changes, ids } = await taken(deploy)
    expect(changes).toEqual([
      {
        kind: 'change',
        id: ids[0],
        type: 'deploy',
        service: 'checkout',
        version: '1.4.2',
        title: 'Faster cart',
        atMs: Date.parse('2026-11-23T15:58:00Z'),
        url: 'https://ci/7',
      },
    ])
    expect(ids[0]).toMatch(/^[0-9a-f]{32}$/)
  })

  it('needs a type and a service only', async () => {
    expect((await taken([{ type: 'flag', service: 'cart' }])).changes).toMatchObject([
      { type: 'flag', version: '', title: 'flag of cart', atMs: NOW_MS, url: '' },
    ])
    expect((await taken({ type: 'rollback', service: 'cart', version: '3', time: NOW_MS - 5 })).changes).toMatchObject([
      { title: 'rollback of cart 3', atMs: NOW_MS - 5 },
    ])
  })

  it('sent again has the same id', async () => {
    expect((await taken(deploy)).ids).toEqual((await taken([deploy])).ids)
    expect((await taken(deploy)).ids).not.toEqual((await taken({ ...deploy, version: '1.4.3' })).ids)
  })
})
