/** The benchmarks run and print what others read of them. Sizes are tiny: nothing here says how fast anything is. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

function bench(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'bench/run.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
  })
  return { status, stderr, lastLine: stdout.trimEnd().split('\n').at(-1)! }
}

const aRate = expect.toSatisfy((value: unknown) => Number.isInteger(value) && Number(value) > 0)

describe('npm run bench', () => {
  it('ingest --json ends with one object: our decoders beside protobufjs, on the same input', () => {
    const { status, stderr, lastLine } = bench('ingest', '--quick', '--json')
    expect(stderr).toContain('round 1 of 1')
    expect(status).toBe(0)
    const result = JSON.parse(lastLine) as Record<string, Record<string, number>>
    const beside = { peer: 'protobufjs', peerPerCpuS: aRate, ratio: expect.any(Number) as number, bodyBytes: aRate }
    expect(result).toMatchObject({
      suite: 'ingest',
      remoteWrite: { samplesPerCpuS: aRate, ...beside, tunedPeerPerCpuS: aRate, recordBytesPerRow: expect.any(Number) as number },
      remoteWrite2: { samplesPerCpuS: aRate, ...beside },
      otlpMetrics: { samplesPerCpuS: aRate, ...beside },
      spans: { spansPerCpuS: aRate, ...beside },
      otlpLogs: { recordsPerCpuS: aRate, ...beside },
      logs: { linesPerCpuS: aRate, ...beside, workingPeerPerCpuS: aRate },
      kafka: { recordsPerCpuS: aRate, peer: 'eachMessage', peerPerCpuS: aRate, ratio: expect.any(Number) as number },
      http: { requestsPerCpuS: aRate, peer: 'node:http, protobufjs', peerPerCpuS: aRate, ratio: expect.any(Number) as number },
      commit: expect.stringMatching(/^[0-9a-f]{7,}\+?$|^unknown$/) as string,
      node: process.version,
      rounds: 1,
    })
    const { samplesPerCpuS, peerPerCpuS, ratio } = result['remoteWrite']!
    expect(ratio! / (samplesPerCpuS! / peerPerCpuS!)).toBeCloseTo(1, 1)
  }, 120_000)

  it('replay says that there is no recording and does not fail', () => {
    const { status, lastLine } = bench('replay', '--quick', '--json', '--recording', 'test/no-such-folder')
    expect(JSON.parse(lastLine)).toMatchObject({ suite: 'replay', missing: expect.stringContaining('test/no-such-folder') as string })
    expect(status).toBe(0)
  }, 60_000)

  it.each([
    [['no-such-suite'], 'ingest|codec|speed|series|logs|spans|replay|http'],
    [[], 'name one suite'],
    [['ingest', '--rounds', '2'], 'odd'],
    [['ingest', '--rounds', 'many'], 'odd'],
  ])(
    'refuses %j',
    (args, message) => {
      const { status, stderr } = bench(...args)
      expect(stderr).toContain(message)
      expect(status).toBe(2)
    },
    60_000,
  )
})
