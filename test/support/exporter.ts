/** Something to scrape: it counts how often it was asked, so that a sample that was lost is missed by its number. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

export interface Exporter extends AsyncDisposable {
  readonly host: string
  readonly scrapes: () => number
  /** From now on it answers 500; how often it did. */
  fail(): void
  readonly failures: () => number
}

export async function startCountingExporter(): Promise<Exporter> {
  let scrapes = 0
  let failures = 0
  let isFailing = false
  const server = createServer((_request, response) => {
    if (isFailing) {
      failures++
      response.writeHead(500).end()
      return
    }
    scrapes++
    response
      .setHeader('content-type', 'text/plain; version=0.0.4')
      .end(
        `# HELP shop_scrapes_total How often this was asked.\n# TYPE shop_scrapes_total counter\nshop_scrapes_total ${scrapes}\n` +
          `# TYPE shop_wait_seconds histogram\nshop_wait_seconds_bucket{le="0.1"} ${scrapes}\nshop_wait_seconds_bucket{le="1"} ${2 * scrapes}\n` +
          `shop_wait_seconds_bucket{le="+Inf"} ${2 * scrapes}\nshop_wait_seconds_sum ${scrapes}\nshop_wait_seconds_count ${2 * scrapes}\n` +
          `# TYPE shop_queue_length gauge\nshop_queue_length{queue="größe \\"1\\""} -1.5\n`,
      )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    scrapes: () => scrapes,
    fail: () => void (isFailing = true),
    failures: () => failures,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
