/** Telegraf by HTTP: remote write, and lines to Loki, gzipped and in chunks. */
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { until } from '../support/kafka.ts'
import { startListener } from '../support/listener.ts'
import { programFolder, startProgram } from '../support/programs.ts'
import { builtSender } from '../support/services.ts'
import { snippet } from '../support/snippets.ts'
import { report, rowsOfAll } from './bench.ts'

const AGENT = '[agent]\ninterval = "1s"\nflush_interval = "1s"\n[global_tags]\nservice = "box"\n'

it('Telegraf: metrics by remote write', async () => {
  await using folder = await programFolder('telegraf')
  await using listener = await startListener(folder.path)
  const file = join(folder.path, 'telegraf.conf')
  writeFileSync(file, `${AGENT}${snippet('telegraf', { '127.0.0.1:4318': listener.host })}[[inputs.mem]]\n`)
  const telegraf = await startProgram({ folder: folder.path, name: 'telegraf', command: builtSender('telegraf'), args: ['--config', file] })
  await until('two rounds have come', async () => (await listener.rows())['remote-write']! >= 60)
  await telegraf[Symbol.asyncDispose]()
  expect(telegraf.log()).not.toContain(' E! ')
  const heard = await listener.understood()
  expect([heard.rejected, heard.refused]).toEqual(['', []])
  const { samples } = rowsOfAll(heard)
  const total = samples.filter(({ key }) => key.startsWith('mem_total{'))
  expect(total.length).toBeGreaterThanOrEqual(2)
  expect(total[0]!.value).toBeGreaterThan(1e8)
  expect(total[1]!.timeMs - total[0]!.timeMs).toBe(1_000)
  expect(heard.metrics[0]!.series.find(({ name }) => name === 'mem_total')).toMatchObject({ service: 'box' })
  report('telegraf, remote write', `${samples.length} samples`)
})

it('Telegraf: lines to Loki, gzip in chunks', async () => {
  await using folder = await programFolder('telegraf')
  await using listener = await startListener(folder.path)
  const file = join(folder.path, 'telegraf.conf')
  const input = join(folder.path, 'input.log')
  writeFileSync(input, '')
  const tail = `[[inputs.tail]]\nfiles = ["${input}"]\nfrom_beginning = true\nname_override = "applog"\ndata_format = "value"\ndata_type = "string"\nvalue_field_name = "message"\n`
  writeFileSync(file, `${AGENT}${snippet('telegraf-loki', { '127.0.0.1:4318': listener.host })}${tail}`)
  const startMs = Date.now()
  const telegraf = await startProgram({ folder: folder.path, name: 'telegraf', command: builtSender('telegraf'), args: ['--config', file] })
  appendFileSync(input, 'one\ntwo "quoted"\n')
  await until('both lines have come', async () => (await listener.rows())['loki'] === 2)
  await telegraf[Symbol.asyncDispose]()
  expect(telegraf.log()).not.toContain(' E! ')
  const heard = await listener.understood()
  expect([heard.rejected, heard.refused]).toEqual(['', []])
  const { lines } = rowsOfAll(heard)
  expect(lines.map(({ service, body }) => [service, body])).toEqual([
    ['box', 'message="one"'],
    ['box', 'message="two "quoted""'],
  ])
  expect(lines.every(({ timeMs }) => timeMs >= startMs && timeMs <= Date.now())).toBe(true)
  report('telegraf, loki gzip', `${lines.length} lines`)
})
