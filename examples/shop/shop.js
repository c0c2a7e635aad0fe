/**
 * Runs the shop: PostgreSQL, the five services, Prometheus and the customers, all on this machine, with a switch for faults.
 *
 *   node shop.js up --target http://127.0.0.1:4318 [--rps 4] [--scrape 5s] [--dir DIR] [--port-base N]
 *
 * or from a test: `const shop = await startShop({ target })`. See README.md.
 */
import { chmodSync, mkdirSync, mkdtempSync, realpathSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { products } from './lib/products.js'
import { seeded } from './lib/random.js'
import { child, startKeeper } from './runner/children.js'
import { lockStock, startPostgres } from './runner/postgres.js'
import { startPrometheus } from './runner/prometheus.js'

const HERE = dirname(fileURLToPath(import.meta.url))

/** The services and the versions they start with, callees first. */
export const SERVICES = { inventory: '3.0.4', payments: '2.3.1', catalog: '1.8.0', checkout: '4.1.2', gateway: '1.12.0' }
const BAD_PAYMENTS = '2.4.0'

/** Starts everything; resolves when customers come in. The options are described in shop.d.ts. */
export async function startShop({
  target,
  token,
  rps = 4,
  scrape = '5s',
  alertFor = '20s',
  otlpDelayMs = 2000,
  lokiIntervalMs = 1000,
  seed = 1,
  dir: parent,
  portBase,
  extraEnv = {},
  say = () => {},
}) {
  target = target.replace(/\/+$/, '')
  if (parent) mkdirSync(parent, { recursive: true })
  // A new directory for each run: nothing of a former one can be in the way, and nothing of anyone else's is touched.
  const dir = mkdtempSync(join(resolve(parent ?? tmpdir()), 'shop-'))
  chmodSync(dir, 0o711) // PostgreSQL's user has to get through.

  const instances = {} // what now serves: service -> { service, version, instance, port, address, child }
  const draining = new Set() // instances replaced by a deployment, until they have ended
  const started = [] // how to stop what has been started, last first
  const active = new Map() // fault -> how to clear it
  const counts = {}
  const finished = [] // the customers' requests
  let stopping
  const exited = (name) => (code) => !stopping && say(`${name} ended unexpectedly (${code}), see ${dir}`)

  /** For what cannot be asked to take any port (0) and tell which. */
  async function freePort() {
    if (portBase === undefined) return freeNow(0)
    for (;;) {
      const port = portBase++
      if (await freeNow(port).catch(() => 0)) return port
    }
  }

  const anyPort = () => (portBase === undefined ? 0 : freePort())

  async function startInstance(service, version, port) {
    counts[service] = (counts[service] ?? 0) + 1
    const instance = `${service}-${counts[service]}`
    const process_ = child({
      name: instance,
      file: join(HERE, 'services', `${service}.js`),
      dir,
      execArgv: ['--import', pathToFileURL(join(HERE, 'instrumentation.js')).href],
      env: {
        NODE_ENV: 'production',
        SERVICE: service,
        VERSION: version,
        INSTANCE: instance,
        PORT: String(port),
        OTLP_URL: target,
        OTLP_DELAY_MS: String(otlpDelayMs),
        LOKI_URL: target,
        LOKI_INTERVAL_MS: String(lokiIntervalMs),
        ...(token && { TOKEN: token }),
        ...(service === 'inventory' && { DATABASE_URL: database }),
        ...extraEnv,
      },
      onExit: exited(instance),
    })
    const entry = { service, version, instance, child: process_ }
    draining.add(entry) // So that stop() finds it also while it is still starting.
    entry.port = await process_.message((message) => message.ready)
    entry.address = `127.0.0.1:${entry.port}`
    return entry
  }

  /** Makes `entry` the one that serves; returns the one it replaces. */
  function route(entry) {
    const former = instances[entry.service]
    instances[entry.service] = entry
    draining.delete(entry)
    if (former) draining.add(former)
    return former
  }

  /** Tells services and Prometheus who serves now. */
  function announce() {
    const all = Object.values(instances)
    const addresses = Object.fromEntries(all.map(({ service, address }) => [service, `http://${address}`]))
    for (const { child: process_ } of [...all, ...draining]) process_.send({ addresses })
    prometheus.scrapeOnly(all)
  }

  async function changeEvent(service, version, title) {
    const time = new Date().toISOString()
    const body = JSON.stringify({ type: 'deploy', service, version, title, time })
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    try {
      const response = await fetch(`${target}/api/v1/events`, { method: 'POST', headers, body, signal: AbortSignal.timeout(5000) })
      if (!response.ok) say(`the change event was refused: ${response.status}`)
    } catch (err) {
      say(`the change event was not delivered: ${err.cause?.message ?? err.message}`)
    }
    return time
  }

  /** A rolling deployment: announced, new instance up, traffic switched, old instance stopped once nobody asks it any more. */
  async function rollOut(service, version, title = `${service} ${version}`) {
    if (!instances[service]) throw new Error(`no such service: ${service}`)
    const at = await changeEvent(service, version, title)
    const former = route(await startInstance(service, version, await anyPort()))
    announce()
    say(`deployed ${title}`)
    void prometheus
      .forgotten(former.address)
      .catch(() => {})
      .then(() => former.child.stop())
      .then(() => draining.delete(former))
    return at
  }

  const faults = {
    async 'slow-database'() {
      const unlock = await lockStock(database, seeded(seed))
      return unlock
    },
    async 'bad-deploy'() {
      const { version } = instances.payments
      await rollOut('payments', BAD_PAYMENTS)
      return () => rollOut('payments', version, `payments ${version} (rollback of ${BAD_PAYMENTS})`)
    },
    async 'cpu-hog'() {
      await burnCatalog(true)
      return () => burnCatalog(false)
    },
  }
  async function burnCatalog(on) {
    const headers = { 'content-type': 'application/json' }
    await fetch(`http://${instances.catalog.address}/admin/burn`, { method: 'POST', headers, body: JSON.stringify({ on }) })
  }

  // One change at a time: a fault that deploys and a deployment would otherwise replace the same instance twice.
  let last = Promise.resolve()
  const oneByOne = (work) => (last = last.catch(() => {}).then(work))

  /** Switches a fault on; resolves when it is, with the time. */
  const inject = (name) =>
    oneByOne(async () => {
      if (!faults[name]) throw new Error(`no such fault: ${name} (there are ${Object.keys(faults).join(', ')})`)
      if (active.has(name)) throw new Error(`${name} is on already`)
      active.set(name, await faults[name]())
      say(`fault ${name} is on`)
      return new Date()
    })

  /** Switches it off again; resolves when it is, with the time. */
  const clear = (name) =>
    oneByOne(async () => {
      const end = active.get(name)
      if (!end) throw new Error(`${name} is not on`)
      await end()
      active.delete(name)
      say(`fault ${name} is off`)
      return new Date()
    })

  /** Deploys another version of a service (payments 2.4.x has a bug, all else is the same code); resolves with the time. */
  const deploy = (service, version) =>
    oneByOne(async () => {
      await rollOut(service, version)
      return new Date()
    })

  /** What the customers experienced between two times. */
  function stats(from = 0, to = Infinity) {
    const during = finished.filter(({ at }) => at >= from && at < to)
    const times = during.map(({ ms }) => ms).sort((a, b) => a - b)
    const quantile = (q) => times[Math.min(times.length - 1, Math.floor(q * times.length))]
    const failed = during.filter(({ status }) => status === 0 || status >= 500).length
    return { requests: during.length, errorRatio: during.length ? failed / during.length : 0, p50: quantile(0.5), p95: quantile(0.95) }
  }

  async function stop() {
    stopping ??= (async () => {
      await last.catch(() => {})
      for (const [name, end] of active) if (name === 'slow-database') await end()
      for (const step of started.reverse()) await step()
    })()
    return stopping
  }

  const ports = {}
  let database, prometheus
  try {
    const keeper = startKeeper({
      dir,
      file: join(HERE, 'runner/keeper.js'),
      removeDir: parent ? undefined : dir,
      onExit: (name, code) => exited(name)(code),
    })
    started.push(() => keeper.stop())
    // In this order, so that with --port-base they are easy to know.
    const first = {}
    for (const name of ['gateway', 'catalog', 'checkout', 'payments', 'inventory']) first[name] = await anyPort()
    ports.control = await anyPort()
    ports.prometheus = await freePort()
    ports.postgres = await freePort()
    database = await startPostgres({ dir, port: ports.postgres, keeper })
    prometheus = await startPrometheus({ dir, port: ports.prometheus, keeper, target, token, scrape, alertFor })

    started.push(() => Promise.all([...Object.values(instances), ...draining].map((entry) => entry.child.stop())))
    await Promise.all(
      Object.entries(SERVICES).map(async ([service, version]) => route(await startInstance(service, version, first[service]))),
    )
    announce()
    await smokeTest(instances.gateway.address)

    const load = child({
      name: 'load',
      file: join(HERE, 'runner/load.js'),
      dir,
      env: { GATEWAY_URL: `http://${instances.gateway.address}`, RPS: String(rps), SEED: String(seed) },
      onExit: exited('load'),
    })
    started.push(() => load.stop())
    load.process.on('message', (message) => finished.push(...message.finished))

    const control = createControl({
      inject,
      clear,
      deploy,
      status: () => ({ ports: shop.ports, pids: shop.pids, faults: [...active.keys()], lastMinute: stats(Date.now() - 60_000) }),
    })
    ports.control = await listen(control, ports.control)
    started.push(() => new Promise((resolve) => control.close(resolve).closeAllConnections()))

    const shop = {
      dir,
      inject,
      clear,
      deploy,
      stats,
      stop,
      /** By name; those of the services change with deployments. */
      get ports() {
        return { ...ports, ...Object.fromEntries(Object.values(instances).map(({ service, port }) => [service, port])) }
      },
      get pids() {
        const services = Object.values(instances).map(({ service, child: { pid } }) => [service, pid])
        return { keeper: keeper.pid, ...keeper.pids, load: load.pid, ...Object.fromEntries(services) }
      },
      get versions() {
        return Object.fromEntries(Object.values(instances).map(({ service, version }) => [service, version]))
      },
    }
    return shop
  } catch (err) {
    await stop()
    throw err
  }
}

/** The way of every request once or twice before the customers come: they shall not meet a shop that is still waking up. */
async function smokeTest(gateway) {
  const order = {
    items: [{ sku: products[0].sku, price: products[0].price, quantity: 1 }],
    card: { brand: 'visa', billing: { country: 'DE' } },
  }
  const checkout = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(order) }
  for (const path of ['/', '/products', '/checkout', '/products', '/checkout']) {
    const response = await fetch(`http://${gateway}${path}`, path === '/checkout' ? checkout : {})
    if (response.status >= 500) throw new Error(`the shop does not work: ${path} answered ${response.status}: ${await response.text()}`)
  }
}

/** POST /inject/FAULT, POST /clear/FAULT, POST /deploy/SERVICE/VERSION, GET /status. */
function createControl({ inject, clear, deploy, status }) {
  async function handle(request, response) {
    const [, verb, ...names] = request.url.split('/')
    const work = { 'POST inject': inject, 'POST clear': clear, 'POST deploy': deploy, 'GET status': status }[`${request.method} ${verb}`]
    const [code, answer] = !work
      ? [404, { error: 'POST /inject/FAULT, POST /clear/FAULT, POST /deploy/SERVICE/VERSION or GET /status' }]
      : await Promise.resolve(work(...names)).then(
          (result) => [200, result instanceof Date ? { at: result } : result],
          (err) => [400, { error: err.message }],
        )
    response.writeHead(code, { 'content-type': 'application/json' }).end(`${JSON.stringify(answer)}\n`)
  }
  return createServer((request, response) => void handle(request, response))
}

async function listen(server, port) {
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return server.address().port
}

/** A port that is free now (0: any). */
async function freeNow(port) {
  const server = createTcpServer()
  const free = await listen(server, port)
  await new Promise((resolve) => server.close(resolve))
  return free
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      target: { type: 'string' },
      token: { type: 'string' },
      rps: { type: 'string', default: '4' },
      scrape: { type: 'string', default: '5s' },
      seed: { type: 'string', default: '1' },
      dir: { type: 'string' },
      'port-base': { type: 'string' },
    },
  })
  if (positionals[0] !== 'up' || !values.target) {
    console.error('usage: node shop.js up --target URL [--token T] [--rps 4] [--scrape 5s] [--seed 1] [--dir DIR] [--port-base N]')
    process.exit(2)
  }
  const end = endOnSignal()
  const shop = await startShop({
    ...values,
    rps: Number(values.rps),
    seed: Number(values.seed),
    portBase: values['port-base'] && Number(values['port-base']),
    say: (line) => console.log(line),
  })
  end.stop = () => shop.stop()
  console.log(`the shop is open: http://127.0.0.1:${shop.ports.gateway}/, files in ${shop.dir}`)
  console.log(`faults: curl -X POST http://127.0.0.1:${shop.ports.control}/inject/slow-database (bad-deploy, cpu-hog; clear: /clear/NAME)`)
}

/** On SIGTERM and SIGINT calls `stop` of what it returns, then ends the process. A second signal does not wait. */
export function endOnSignal() {
  const end = { stop: async () => {} }
  let asked = false
  async function onSignal() {
    if (asked) process.exit(1) // The children notice and end themselves.
    asked = true
    await end.stop()
    process.exit(0)
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void onSignal())
  return end
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main()
