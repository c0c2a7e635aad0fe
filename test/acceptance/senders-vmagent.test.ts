/** vmagent of two generations: one that sends snappy, and one that tries zstd first and has to be told. Neither loses a scrape. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { samplesOf } from '../ingest/doors-fixture.ts'
import { startCountingExporter } from '../support/exporter.ts'
import { until } from '../support/kafka.ts'
import { startListener } from '../support/listener.ts'
import { freePorts } from '../support/processes.ts'
import { programFolder, startProgram } from '../support/programs.ts'
import { builtSender, requireOrSkip, which } from '../support/services.ts'
import { argumentsOf, snippet } from '../support/snippets.ts'

/** Scrapes six times and more until the target fails, stops vmagent, and answers what was heard. */
async function scraped(command: string) {
  await using folder = await programFolder('vmagent')
  await using exporter = await startCountingExporter()
  await using listener = await startListener(folder.path)
  const scrapeFile = join(folder.path, 'scrape.yml')
  writeFileSync(
    scrapeFile,
    `global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs: [{ job_name: shop, static_configs: [{ targets: ['${exporter.host}'] }] }]`,
  )
  const [port] = (await freePorts(1)) as [number]
  const [, ...args] = argumentsOf(snippet('vmagent', { 'prometheus.yml': scrapeFile, '127.0.0.1:4318': listener.host }))
  const more = [`-httpListenAddr=127.0.0.1:${port}`, `-remoteWrite.tmpDataPath=${join(folder.path, 'queue')}`]
  const vmagent = await startProgram({ folder: folder.path, name: 'vmagent', command, args: [...args, ...more] })
  try {
    await until('six scrapes were sent', async () => exporter.scrapes() >= 6 && ((await listener.rows())['remote-write'] ?? 0) > 0)
    exporter.fail()
    await until('a scrape has failed', () => exporter.failures() > 0)
  } finally {
    // Sends what it still has.
    await vmagent[Symbol.asyncDispose]()
  }
  const answers = await listener.answers()
  return { host: exporter.host, scrapes: exporter.scrapes(), answers, understood: await listener.understood() }
}

function expectEveryScrape({ host, scrapes, understood }: Awaited<ReturnType<typeof scraped>>) {
  expect(understood.rejected).toBe('')
  const samples = understood.metrics.flatMap(samplesOf)
  const labels = (more = '') => `{instance="${host}",job="shop"${more}}`
  const of = (key: string) => samples.filter((sample) => sample.key === key && sample.stale === 0)
  const counted = of(`shop_scrapes_total${labels()}`)
  expect(counted.map(({ value }) => value)).toEqual(Array.from({ length: scrapes }, (_, i) => i + 1))
  for (const [i, { timeMs }] of counted.entries()) if (i > 0) expect(timeMs - counted[i - 1]!.timeMs).toBeCloseTo(1_000, -2)
  expect(new Set(of(`shop_queue_length${labels(',queue="größe \\"1\\""')}`).map(({ value }) => value))).toEqual(new Set([-1.5]))
  expect(of(`shop_wait_seconds_bucket{instance="${host}",job="shop",le="1"}`).map(({ value }) => value)).toEqual(
    counted.map(({ value }) => 2 * value),
  )
  expect(understood.metrics.flatMap(({ series }) => series).find(({ name }) => name === 'shop_scrapes_total')).toMatchObject({
    service: 'shop',
    instance: host,
  })
  const shop = samples.filter(({ key }) => key.startsWith('shop_'))
  const ended = new Set(shop.filter(({ stale }) => stale === 1).map(({ key }) => key))
  expect(ended, 'a scrape that fails ends every series').toEqual(new Set(shop.map(({ key }) => key)))
}

requireOrSkip('vmagent')('vmagent of Debian', () => {
  it('sends snappy, and every scrape is understood', async () => {
    const heard = await scraped(which('vmagent')!)
    expect(heard.understood.refused).toEqual([])
    expect(Object.keys(heard.answers)).toEqual(['204'])
    expectEveryScrape(heard)
  })
})

requireOrSkip('built-vmagent')('a newer vmagent', () => {
  it('is answered 415 when it tries zstd, turns to snappy, and loses nothing', async () => {
    const heard = await scraped(builtSender('vmagent'))
    expect(heard.answers['415']).toBeGreaterThan(0)
    expect(new Set(heard.understood.refused)).toEqual(new Set(['/api/v1/write unsupported']))
    expect(new Set(Object.keys(heard.answers))).toEqual(new Set(['204', '415']))
    expectEveryScrape(heard)
  })
})
