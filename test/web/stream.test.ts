/** Live updates over a real connection. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { saveIncidents } from '../../src/store/incidents.ts'
import { incidentNamed, webFixture } from './web-fixture.ts'
import type { WebFixture } from './web-fixture.ts'

interface Listener {
  readonly response: Response
  /** What has arrived so far. */
  readonly text: () => string
  readonly ended: Promise<void>
  stop(): void
}

async function listen(url: string): Promise<Listener> {
  const abort = new AbortController()
  const response = await fetch(`${url}/api/v1/stream`, { signal: abort.signal })
  let text = ''
  const ended = (async () => {
    try {
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) text += chunk
    } catch (error) {
      if (!abort.signal.aborted) throw error
    }
  })()
  return { response, text: () => text, ended, stop: () => abort.abort() }
}

async function until(condition: () => boolean): Promise<void> {
  for (const startedMs = performance.now(); !condition(); await sleep(5)) {
    if (performance.now() - startedMs > 5000) throw new Error('It did not happen within 5 s.')
  }
}

const start = (web: WebFixture) => web.app.listen({ port: 0, host: '127.0.0.1' })

describe('the stream', () => {
  test('tells every page which incidents changed, in bunches', async () => {
    await using web = await webFixture({ stream: { bunchMs: 50 } })
    const url = await start(web)
    const pages = [await listen(url), await listen(url)]
    expect(pages[0]?.response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(pages[0]?.response.headers.get('content-security-policy')).toContain("default-src 'none'")
    await saveIncidents(web.db, [incidentNamed('a'), incidentNamed('b')])
    await saveIncidents(web.db, [incidentNamed('a')])
    for (const page of pages) {
      await until(() => page.text().includes('event: incidents'))
      expect(page.text()).toContain('data: {"ids":["a","b"]}\n\n')
    }
    expect(pages[0]?.text().match(/event: /g)).toHaveLength(1)
    for (const page of pages) page.stop()
  })

  test('of more changes than can be listed it says that any may have changed', async () => {
    await using web = await webFixture({ stream: { bunchMs: 50 } })
    const page = await listen(await start(web))
    await saveIncidents(
      web.db,
      Array.from({ length: 150 }, (_, i) => incidentNamed(`many-${i}`)),
    )
    await until(() => page.text().includes('event: incidents'))
    expect(page.text()).toContain('data: {"ids":[]}')
    page.stop()
  })

  test('shows that it lives while nothing happens', async () => {
    await using web = await webFixture({ stream: { heartbeatMs: 20 } })
    const page = await listen(await start(web))
    await until(() => page.text().includes(': still here'))
    page.stop()
  })

  test('takes as many pages as it may, and again when one leaves', async () => {
    await using web = await webFixture({ stream: { maxClients: 2 } })
    const url = await start(web)
    const [first, second] = [await listen(url), await listen(url)]
    const third = await fetch(`${url}/api/v1/stream`)
    expect([third.status, third.headers.get('retry-after')]).toEqual([503, '30'])
    await third.text()
    expect(await web.telemetry.registry.metrics()).toContain('tocsin_stream_clients 2')
    first.stop()
    await first.ended
    let again: Response | undefined
    await until(() => web.app.server.listening)
    for (let tries = 0; tries < 100 && again?.status !== 200; tries++) {
      await again?.text()
      again = await fetch(`${url}/api/v1/stream`)
    }
    expect(again?.status).toBe(200)
    await again?.body?.cancel()
    second.stop()
  })

  test('ends when the server stops, at once', async () => {
    const web = await webFixture()
    const page = await listen(await start(web))
    const startedMs = performance.now()
    await web.app.close()
    await page.ended
    expect(performance.now() - startedMs).toBeLessThan(2000)
    await web.db[Symbol.asyncDispose]()
  })
})
