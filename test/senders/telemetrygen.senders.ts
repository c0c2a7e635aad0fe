/** telemetrygen, over HTTP and over gRPC. */
import { expect, it } from 'vitest'
import { startListener } from '../support/listener.ts'
import { programFolder } from '../support/programs.ts'
import { snippet } from '../support/snippets.ts'
import { generated, pasted, report, rowsOfAll, telemetryOf } from './bench.ts'

it.each([
  ['HTTP', (host: string, _grpc: string) => snippet('telemetrygen', { '127.0.0.1:4318': host })],
  ['gRPC', (_host: string, grpc: string) => snippet('telemetrygen-grpc', { '127.0.0.1:4317': grpc })],
])('telemetrygen over %s', async (over, block) => {
  await using folder = await programFolder('telemetrygen')
  await using listener = await startListener(folder.path)
  await pasted(block(listener.host, listener.grpcHost), folder.path)
  const heard = await listener.understood()
  expect([heard.rejected, heard.refused]).toEqual(['', []])
  const said = telemetryOf(rowsOfAll(heard), 'telemetrygen')
  expect(said).toEqual(generated())
  report(`telemetrygen, ${over}`, `${said.spans.length} spans, ${said.lines.length} lines, ${said.samples.length} samples`)
})
