/**
 * The ingest role as `tocsin run --role ingest` starts it, with one difference: a recording is older than the clock, so the request itself says
 * when it was received (`x-received-ms`) and time is told by `POST /tick` on a second port. `x-hold: answer` keeps the answer to a request that is safe
 * with Kafka already, and `x-hold: request` keeps the request before anything is done with it: both say so and wait to be killed.
 *
 *   node chaos-ingest.js CONFIG      // runs the build; logs {"event":"started","url":…} and prints ticks=URL
 */
import { createServer } from 'node:http'
import { startApp } from '../../dist/app.js'
import { telemetryFor } from '../../dist/commands.js'
import { loadConfig } from '../../dist/config.js'

const config = loadConfig(process.argv[2], { 'http.port': 0 })
const telemetry = telemetryFor(config)
const forEver = new Promise(() => undefined)

const wrapDoor = async (door) => ({
  async accept(request) {
    const { 'x-hold': hold, 'x-received-ms': receivedMs } = request.headers
    if (hold === 'request') {
      process.stdout.write('held\n')
      await forEver
    }
    const response = await door.accept({ ...request, receivedMs: Number(receivedMs) })
    if (hold === 'answer') {
      process.stdout.write('held\n')
      await forEver
    }
    return response
  },
  tick: (nowMs) => door.tick(nowMs),
})

const app = await startApp({ config, roles: ['ingest'], telemetry, liveTicks: false, wrapDoor })
const ticks = createServer((request, response) => {
  const nowMs = Number(new URL(request.url ?? '/', 'http://ticks').searchParams.get('at'))
  app.door.tick(nowMs).then(
    () => response.writeHead(204).end(),
    () => response.writeHead(503).end(),
  )
})
ticks.listen(0, '127.0.0.1', () => {
  process.stdout.write(`ticks=http://127.0.0.1:${ticks.address().port}\n`)
  telemetry.log.info({ event: 'started', url: app.url }, 'the doors are open')
})
