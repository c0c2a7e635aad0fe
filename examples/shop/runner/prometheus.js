/** A real Prometheus: scrapes the services, sends everything on with remote write, and alerts. */
import { accessSync, constants, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

function binary() {
  for (const folder of process.env.PATH.split(':')) {
    try {
      accessSync(join(folder, 'prometheus'), constants.X_OK)
      return join(folder, 'prometheus')
    } catch {
      // Not here.
    }
  }
  throw new Error('Prometheus is not installed (on Debian: apt-get install prometheus)')
}

const rules = (alertFor) => ({
  groups: [
    {
      name: 'shop',
      rules: [
        {
          alert: 'GatewayHighErrorRatio',
          expr: 'sum(rate(http_requests_total{job="gateway",status=~"5.."}[30s])) / sum(rate(http_requests_total{job="gateway"}[30s])) > 0.05',
          for: alertFor,
          labels: { severity: 'critical', service: 'gateway' },
          annotations: {
            summary: 'More than 5 % of the requests to the shop fail',
            description: 'Error ratio {{ $value | humanizePercentage }}',
          },
        },
      ],
    },
  ],
})

function configuration({ target, token, scrape, dir }) {
  const authorization = token ? { authorization: { type: 'Bearer', credentials: token } } : {}
  const { protocol, host, pathname } = new URL(target)
  return {
    global: { scrape_interval: scrape, scrape_timeout: scrape, evaluation_interval: scrape },
    rule_files: [join(dir, 'rules.json')],
    // From a file, because a deployment moves a service to another port. It sets `job` and `instance` as well.
    scrape_configs: [{ job_name: 'shop', file_sd_configs: [{ files: [join(dir, 'targets.json')] }] }],
    remote_write: [
      {
        url: `${target}/api/v1/write`,
        queue_config: { max_shards: 1, batch_send_deadline: '1s', min_backoff: '100ms', max_backoff: '2s' },
        ...authorization,
      },
    ],
    alerting: {
      alertmanagers: [{ scheme: protocol.slice(0, -1), path_prefix: pathname, static_configs: [{ targets: [host] }], ...authorization }],
    },
  }
}

/** Starts it through `keeper`. Returns how to change what is scraped. */
export async function startPrometheus({ dir, port, keeper, target, token, scrape, alertFor }) {
  const folder = join(dir, 'prometheus')
  mkdirSync(folder)
  // JSON is YAML too.
  const write = (name, content) => writeFileSync(join(folder, name), JSON.stringify(content, null, 2))
  write('prometheus.yml', configuration({ target, token, scrape, dir: folder }))
  write('rules.json', rules(alertFor))

  /** `instances`: [{ service, instance, address }] */
  function scrapeOnly(instances) {
    write(
      'targets.new',
      instances.map(({ service, instance, address }) => ({ targets: [address], labels: { job: service, instance } })),
    )
    renameSync(join(folder, 'targets.new'), join(folder, 'targets.json'))
  }
  scrapeOnly([])

  const url = `http://127.0.0.1:${port}`
  await keeper.spawn({
    name: 'prometheus',
    file: binary(),
    args: [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      '--storage.tsdb.retention.time=3h',
      '--storage.remote.flush-deadline=1s',
      `--web.listen-address=127.0.0.1:${port}`,
      `--web.external-url=${url}`,
    ],
    log: join(dir, 'prometheus.log'),
    env: { PATH: process.env.PATH, GOMAXPROCS: '1' },
    stopSignal: 'SIGTERM',
  })
  for (const deadline = Date.now() + 30_000; ; await sleep(100)) {
    const up = await fetch(`${url}/-/ready`).catch(() => undefined)
    if (up?.ok) break
    if (Date.now() > deadline) throw new Error(`Prometheus did not start, see ${join(dir, 'prometheus.log')}`)
  }

  /** Resolves when Prometheus no longer scrapes `address` (it takes up changes of the file within about 5 s). */
  async function forgotten(address) {
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(250)) {
      const answer = await fetch(`${url}/api/v1/targets?state=active`).then((response) => response.json())
      if (answer.data.activeTargets.every((scraped) => !scraped.scrapeUrl.includes(address))) return
    }
  }

  return { scrapeOnly, forgotten }
}
