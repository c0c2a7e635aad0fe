/** `tocsin evaluate`: a history with a fault in it that anybody would see, as files and as a recording. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pino } from 'pino'
import { loadConfig } from '../src/config.ts'
import { evaluate, reportText } from '../src/evaluate-command.ts'
import { readManifest } from '../src/ingest/recording/recording.ts'
import { SHIPPED_RECORDING } from '../src/replays.ts'
import { Telemetry } from '../src/telemetry.ts'

let folder: string
const config = loadConfig(undefined, {})
const telemetry = () => new Telemetry(pino({ level: 'silent' }))
const START_MS = Date.UTC(2026, 0, 5)
const MINUTE_MS = 60_000
const FAULT = [6 * 1440, 6 * 1440 + 45] as const

/** A week of a daily rhythm with some noise, a row a minute; the fault doubles it. */
function week(fault: boolean): string {
  let state = 1
  const rows = Array.from({ length: 7 * 1440 }, (_, i) => {
    state = (state * 48_271) % 2_147_483_647
    const usual = 100 + 30 * Math.sin((2 * Math.PI * i) / 1440) + (state % 1000) / 250
    return `${new Date(START_MS + i * MINUTE_MS).toISOString()},${(fault && i >= FAULT[0] && i < FAULT[1] ? usual * 2 : usual).toFixed(2)}`
  })
  return `timestamp,value\n${rows.join('\n')}\n`
}

const at = (row: number) => new Date(START_MS + row * MINUTE_MS).toISOString()

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tocsin-evaluate-'))
  writeFileSync(join(folder, 'faulty.csv'), week(true))
  writeFileSync(join(folder, 'quiet.csv'), week(false))
  writeFileSync(join(folder, 'labels'), `faulty.csv,${at(FAULT[0])},${at(FAULT[1] - 1)}\n`)
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('files', () => {
  test('the fault is caught within minutes and the figures say so', async () => {
    const report = await evaluate(config, { data: folder, labels: join(folder, 'labels'), delay: 7 }, telemetry())
    expect(report.of).toBe('files')
    expect(report.each['faulty.csv']).toMatchObject({ stretches: 1, caught: 1, recall: 1 })
    expect(report.each['faulty.csv']!.medianDelayS).toBeLessThan(15 * 60)
    expect(report.each['faulty.csv']!.bestF1).toBeGreaterThan(0.9)
    expect(report.each['faulty.csv']!.vusPr).toBeGreaterThan(0.5)
    expect(report.each['quiet.csv']).toMatchObject({ stretches: 0, caught: 0, recall: Number.NaN })
    expect(report.each['quiet.csv']).not.toHaveProperty('vusPr')
    expect(report.all.seriesDays).toBeCloseTo(14, 1)
    expect(report.all.alarms).toBe(report.each['faulty.csv']!.alarms + report.each['quiet.csv']!.alarms)

    const lines = reportText(report, 7).split('\n')
    expect(lines[0]).toMatch(/^file +caught +recall +right alarms +precision +delay +alarms a day +F1 +VUS-PR$/)
    expect(lines[1]).toMatch(/^faulty\.csv +1 of 1 +1\.00 /)
    expect(lines[3]).toMatch(/^all 2 +1 of 1 +1\.00 /)
  }, 60_000)

  test('a row that came a second after another changes nothing', async () => {
    const apart = mkdtempSync(join(tmpdir(), 'tocsin-evaluate-'))
    const [head, first, ...rest] = week(true).split('\n')
    const twice = first!.replace(':00.000Z', ':01.000Z')
    writeFileSync(join(apart, 'faulty.csv'), [head, first, twice, ...rest].join('\n'))
    const report = await evaluate(config, { data: apart, labels: join(folder, 'labels'), delay: 7 }, telemetry())
    rmSync(apart, { recursive: true })
    expect(report.all.bestF1).toBeGreaterThan(0.9)
  }, 60_000)

  test('a label of what is not there is refused before anything is looked at', async () => {
    writeFileSync(join(folder, 'wrong'), `disk.csv,${at(0)},${at(1)}\n`)
    const options = { data: folder, labels: join(folder, 'wrong'), delay: 7 }
    await expect(evaluate(config, options, telemetry())).rejects.toThrow(
      'wrong, line 1: there is no "disk.csv" in the data; there is faulty.csv, quiet.csv',
    )
  })
})

test('a recording: alarms by service against labelled outages', async () => {
  const { firstMs, lastMs } = await readManifest(SHIPPED_RECORDING)
  const [from, to] = [new Date((firstMs + lastMs) / 2).toISOString(), new Date(lastMs).toISOString()]
  writeFileSync(join(folder, 'outage'), `service,start,end\npayments,${from},${to}\n`)
  const report = await evaluate(config, { data: SHIPPED_RECORDING, labels: join(folder, 'outage'), delay: 7 }, telemetry())
  expect(report.of).toBe('services')
  expect(Object.keys(report.each)).toEqual(['catalog', 'checkout', 'gateway', 'inventory', 'payments'])
  expect(report.each['payments']).toMatchObject({ stretches: 1, caught: 1 })
  expect(report.all.seriesDays).toBeCloseTo((5 * (lastMs - firstMs)) / 86_400_000, 6)
  expect(reportText(report, 7)).not.toContain('VUS-PR')
}, 60_000)
