/**
 * The recorded outage: what was injected is found, named and over again, quiet time stays quiet, and the same recording gives the
 * same incidents, byte for byte. The labels lie beside the recording and are not seen by the pipeline.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { DEMO_DEFAULTS, replayRecording, SHIPPED_RECORDING, type ReplayResult } from '../../src/replays.ts'
import { Telemetry } from '../../src/telemetry.ts'
import { temporaryFolder, type TemporaryFolder } from '../support/processes.ts'

interface Labels {
  readonly faults: readonly {
    readonly name: string
    readonly from: string
    readonly to: string
    readonly root: { readonly service: string; readonly database?: { readonly system: string } }
    readonly change?: { readonly version: string }
    readonly affected: readonly string[]
  }[]
}

const labels = JSON.parse(readFileSync(join(SHIPPED_RECORDING, 'labels.json'), 'utf8')) as Labels

async function replayOnce(folder: string): Promise<{ result: ReplayResult; printed: string }> {
  let printed = ''
  const config = parseConfig({}, { ...DEMO_DEFAULTS, dataDir: folder, logLevel: 'silent' }, {})
  const { app, result } = await replayRecording(config, {
    recording: SHIPPED_RECORDING,
    telemetry: new Telemetry(pino({ level: 'silent' })),
    print: (text) => (printed += text),
  })
  await app.stop()
  return { result, printed }
}

describe('the recorded outage', () => {
  let folder: TemporaryFolder
  let first: ReplayResult
  let printed: string

  beforeAll(async () => {
    folder = await temporaryFolder('replay')
    ;({ result: first, printed } = await replayOnce(join(folder.path, 'one')))
  }, 180_000)
  afterAll(() => folder[Symbol.asyncDispose]())

  it('is small enough to ship', () => {
    const bytes = readdirSync(SHIPPED_RECORDING).reduce((sum, name) => sum + statSync(join(SHIPPED_RECORDING, name)).size, 0)
    expect(bytes).toBeLessThan(5_000_000)
  })

  it('holds all three signals', () => {
    expect(first.samples).toBeGreaterThan(50_000)
    expect(first.spans).toBeGreaterThan(10_000)
    expect(first.logs).toBeGreaterThan(100)
  })

  it('makes one incident of each fault and none of quiet time or of the harmless deploy', () => {
    expect(first.incidents).toHaveLength(labels.faults.length)
  })

  it.each(labels.faults.map((fault) => [fault.name, fault] as const))(
    'finds %s in time, with its cause first, and sees it end',
    (_, fault) => {
      const [from, to] = [Date.parse(fault.from), Date.parse(fault.to)]
      const incident = first.incidents.find(({ openedAt }) => Date.parse(openedAt!) >= from && Date.parse(openedAt!) < to)
      expect(incident, `no incident opened between ${fault.from} and ${fault.to}`).toBeDefined()
      expect(Date.parse(incident!.openedAt!) - from).toBeLessThan(60_000)
      expect(incident!.causes[0]!.service).toBe(fault.root.database?.system ?? fault.root.service)
      if (fault.change !== undefined) {
        const evidence = incident!.causes[0]!.evidence.find(({ kind }) => kind === 'change')
        expect(evidence?.text).toContain(fault.change.version)
      }
      expect(incident!.services).toContain('gateway')
      expect(incident!.resolvedAt, 'it never ended').not.toBeNull()
      expect(Date.parse(incident!.resolvedAt!)).toBeGreaterThan(to)
      expect(Date.parse(incident!.resolvedAt!) - to).toBeLessThan(360_000)
    },
  )

  it('tells each channel of each incident once that it began and once that it is over', () => {
    for (const { id } of first.incidents) {
      for (const channel of ['pagerduty', 'slack', 'jira']) {
        const kinds = first.notices.filter((notice) => notice.incident === id && notice.channel === channel).map(({ kind }) => kind)
        expect(kinds.filter((kind) => kind === 'opened')).toHaveLength(1)
        expect(kinds.filter((kind) => kind === 'resolved')).toHaveLength(1)
      }
    }
    expect(printed).toContain('https://events.pagerduty.com/v2/enqueue')
  })

  it('gives the same incidents again, byte for byte', async () => {
    const { result: second } = await replayOnce(join(folder.path, 'two'))
    expect(JSON.stringify(second.incidents)).toBe(JSON.stringify(first.incidents))
    expect(JSON.stringify(second.notices)).toBe(JSON.stringify(first.notices))
  }, 180_000)
})
