/** What people paste into a shell or a pipeline: changes in each form, spans as Zipkin has them, and the notification of Argo CD. */
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import type { Change } from '../../src/model.ts'
import { eventsOf, spansOf } from '../ingest/doors-fixture.ts'
import { startListener } from '../support/listener.ts'
import { programFolder, shell } from '../support/programs.ts'
import { requireOrSkip } from '../support/services.ts'
import { snippet } from '../support/snippets.ts'

requireOrSkip('curl')('curl', () => {
  it('changes in every form, spans, and what Argo CD posts are taken and understood', async () => {
    await using folder = await programFolder('curl')
    await using listener = await startListener(folder.path)
    const moves = { '127.0.0.1:4318': listener.host }
    const startMs = Date.now() - 1_000
    const printed: string[] = []
    for (const block of ['change', 'cloudevent', 'cloudevent-binary', 'cdevent', 'zipkin'] as const)
      printed.push(await shell(texts(moves)[block], folder.path))
    for (const text of printed.slice(0, 4)) expect(JSON.parse(text)).toEqual({ ids: [expect.stringMatching(/^[0-9a-f]{32}$/) as string] })
    expect(printed[4]).toBe('')

    const answer = await argoCd(snippet('argocd', moves))
    expect([answer.status, await answer.text()]).toEqual([202, expect.stringContaining('ids') as string])

    const heard = await listener.understood()
    expect([heard.rejected, heard.refused, heard.skipped]).toEqual(['', [], {}])
    const changes = eventsOf(heard.events) as Change[]
    expect(changes.map(({ type, service, version, title }) => [type, service, version, title])).toEqual([
      ['deploy', 'checkout', '1.2.3', 'checkout 1.2.3'],
      ['deploy', 'checkout', '1.2.3', 'deploy of checkout 1.2.3'],
      ['flag', 'checkout', '', 'new-cart is on for everybody'],
      ['deploy', 'checkout', '1.2.3', expect.stringContaining('checkout') as string],
      ['sync', 'guestbook', '53e28ff20cc530b9ada2173fbbd64d48338583ba', 'Argo CD: guestbook Succeeded'],
    ])
    expect(changes[0]!.url).toBe('https://ci.example/run/7')
    for (const { atMs } of changes.slice(0, 4)) expect([atMs >= startMs - 1_000, atMs <= Date.now()]).toEqual([true, true])
    const [span] = heard.spans.flatMap(spansOf)
    expect(span).toMatchObject({
      service: 'checkout',
      operation: 'get /stock',
      kind: 3,
      status: 2,
      peer: 'stock',
      durationMs: 207,
      traceId: '5af7183fb1d4cf5f0000000000000001',
      spanId: '352bff9a74ca9ad2',
      parentId: '6b221d5bc9e6496c',
    })
  })
})

function texts(moves: Record<string, string>) {
  return {
    change: snippet('change', moves),
    cloudevent: snippet('cloudevent', moves),
    'cloudevent-binary': snippet('cloudevent-binary', moves),
    cdevent: snippet('cdevent', moves),
    zipkin: snippet('zipkin', moves),
  }
}

/** Does what Argo CD's notifications do with the template: fills in the application, posts it. https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/services/webhook/ */
async function argoCd(configMap: string): Promise<Response> {
  const data = parse(configMap) as Record<string, string>
  const service = parse(data['service.webhook.tocsin']!) as { url: string; headers: { name: string; value: string }[] }
  const { webhook } = parse(data['template.tocsin']!) as { webhook: { tocsin: { method: string; body: string } } }
  const app = {
    metadata: { name: 'guestbook', uid: '7c1f1c6e-0d4b-4a52-8b0c-3f6a51f7d1c1' },
    status: {
      operationState: {
        phase: 'Succeeded',
        finishedAt: new Date().toISOString(),
        syncResult: { revision: '53e28ff20cc530b9ada2173fbbd64d48338583ba' },
      },
    },
  }
  const body = webhook.tocsin.body.replace(
    /{{\.([\w.]+)}}/g,
    (_, path: string) => path.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], { app }) as string,
  )
  return fetch(service.url, {
    method: webhook.tocsin.method,
    headers: service.headers.map(({ name, value }) => [name, value] as [string, string]),
    body,
  })
}
