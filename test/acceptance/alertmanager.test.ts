/** The real amtool at our doors, as if they were an Alertmanager; and a real Alertmanager with its webhook pointed at us. */
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { expect, it } from 'vitest'
import { ActiveAlerts } from '../../src/ingest/events/active-alerts.ts'
import { createDoors } from '../../src/ingest/doors.ts'
import { registerDoors } from '../../src/ingest/http.ts'
import type { Alert } from '../../src/model.ts'
import { eventsOf, openDoors, TOPICS } from '../ingest/doors-fixture.ts'
import { until } from '../support/kafka.ts'
import { output, programFolder, startAlertmanager } from '../support/programs.ts'
import { requireOrSkip } from '../support/services.ts'

async function startDoors() {
  const { transport, telemetry, config } = openDoors()
  const alerts = new ActiveAlerts()
  const door = createDoors({ transport, topics: TOPICS, partitions: 4, config, telemetry, clock: Date.now, alerts })
  const app = Fastify()
  registerDoors(app, door, { limits: config.limits, clock: Date.now, alerts })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
    taken: () => eventsOf(transport.of('events')) as Alert[],
    [Symbol.asyncDispose]: () => app.close(),
  }
}

const amtool = (url: string, ...args: string[]) => output('amtool', [`--alertmanager.url=${url}`, ...args])

requireOrSkip('alertmanager')('Alertmanager', () => {
  it('amtool adds an alert here and finds it again', async () => {
    await using doors = await startDoors()
    await amtool(doors.url, 'alert', 'add', 'TooSlow', 'service=cart', '--annotation=summary=late again')
    expect(doors.taken()).toMatchObject([{ name: 'TooSlow', service: 'cart', summary: 'late again' }])
    expect(await amtool(doors.url, 'alert', 'query')).toMatch(/TooSlow .*late again .*active/)
    expect(await amtool(doors.url, 'alert', 'query', 'service=cart')).toContain('TooSlow')
    expect(await amtool(doors.url, 'alert', 'query', 'service=other')).not.toContain('TooSlow')
    expect(await amtool(doors.url, '-o', 'extended', 'alert', 'query')).toContain('service="cart"')
    await expect(amtool(doors.url, 'alert', 'query', 'service=~ca.*')).rejects.toThrow(/no regular expressions/)
  })

  it('what its webhook tells is the alert that was posted here as well, and its end is heard of', async () => {
    await using folder = await programFolder('alertmanager')
    await using doors = await startDoors()
    await using alertmanager = await startAlertmanager(folder.path, `${doors.url}/api/v1/alertmanager`)
    const start = new Date(Date.now() - 60_000).toISOString()
    const add = (url: string, ...more: string[]) =>
      amtool(url, 'alert', 'add', 'TooSlow', 'service=cart', 'severity=page', '--start', start, ...more)
    await add(alertmanager.url)
    await until('the webhook told of it', () => doors.taken().length === 1)
    await add(doors.url)
    const [told, posted] = doors.taken()
    expect(told).toMatchObject({ name: 'TooSlow', service: 'cart', severity: 'critical', startMs: Date.parse(start) })
    expect(told!.endMs).toBeGreaterThan(Date.now() + 3_600_000)
    expect(posted!.id).toBe(told!.id)
    expect(await amtool(doors.url, 'alert', 'query')).toContain('TooSlow')

    await add(alertmanager.url, '--end', new Date().toISOString())
    await until('the webhook told of its end', () => doors.taken().length === 3)
    const ended = doors.taken()[2]!
    expect(ended.id).toBe(told!.id)
    expect(ended.endMs).toBeLessThanOrEqual(ended.atMs)
    expect(await amtool(doors.url, 'alert', 'query')).not.toContain('TooSlow')
  })
})
