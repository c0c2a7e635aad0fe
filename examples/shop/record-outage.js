/**
 * Plays an outage: runs the shop against a recorder through quiet times, a harmless deployment, a slow database and a bad
 * release, and writes down what was wrong, where and when.
 *
 *   node record-outage.js --target URL --out labels.json [--quiet 420] [--fault 180] [--gap 300] [--tail 240] [--rps 4] [--scrape 5s] [--seed 1]
 *
 * Times are seconds: `quiet` before the first fault (the harmless deployment is at 4/7 of it), `fault` for each fault, `gap`
 * between the two, `tail` after the rollback.
 */
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { SERVICES, endOnSignal, startShop } from './shop.js'

const text = (value) => ({ type: 'string', default: value })
const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    token: { type: 'string' },
    out: { type: 'string' },
    dir: { type: 'string' },
    quiet: text('420'),
    fault: text('180'),
    gap: text('300'),
    tail: text('240'),
    rps: text('4'),
    scrape: text('5s'),
    seed: text('1'),
  },
})
if (!values.target || !values.out) {
  console.error(
    'usage: node record-outage.js --target URL --out labels.json [--token T] [--dir DIR] [--quiet 420] [--fault 180] [--gap 300] [--tail 240] [--rps 4] [--scrape 5s] [--seed 1]',
  )
  process.exit(2)
}

const [quiet, fault, gap, tail] = ['quiet', 'fault', 'gap', 'tail'].map((name) => Number(values[name]))
const seconds = (n) => sleep(n * 1000)
const say = (line) => console.log(`${new Date().toISOString()} ${line}`)

const end = endOnSignal()
const shop = await startShop({
  target: values.target,
  token: values.token,
  dir: values.dir,
  rps: Number(values.rps),
  scrape: values.scrape,
  seed: Number(values.seed),
  say,
})
end.stop = () => shop.stop()

const labels = {
  description: 'What was wrong with the shop while this was recorded. Times are ISO 8601, UTC.',
  from: new Date().toISOString(),
  to: undefined,
  settings: { rps: Number(values.rps), scrape: values.scrape, seed: Number(values.seed) },
  services: SERVICES,
  faults: [],
  harmless: [],
}

/** The customers' experience, to see from the labels alone that a fault was one. */
function customers(from, to) {
  const { requests, errorRatio, p50, p95 } = shop.stats(from, to)
  return { requests, errorRatio: Number(errorRatio.toFixed(4)), p50Ms: p50, p95Ms: p95 }
}

async function breakFor(name, what) {
  const from = new Date()
  await shop.inject(name)
  await seconds(fault)
  const to = await shop.clear(name)
  labels.faults.push({ name, ...what, from: from.toISOString(), to: to.toISOString(), customers: customers(from.getTime(), to.getTime()) })
}

say('quiet')
await seconds((quiet * 4) / 7)
labels.harmless.push({
  name: 'deploy',
  service: 'catalog',
  version: '1.8.1',
  at: new Date().toISOString(),
  why: 'the same code under a new version',
})
await shop.deploy('catalog', '1.8.1')
await seconds((quiet * 3) / 7)
labels.customersWhenQuiet = customers(Date.now() - (quiet - 5) * 1000, Date.now())

await breakFor('slow-database', {
  what: 'another session locks the table stock again and again; queries wait, some until their timeout',
  // As seen from the traces: the database has no spans of its own, inventory is the service that calls it.
  root: { service: 'inventory', database: { system: 'postgresql', namespace: 'shop' } },
  affected: ['inventory', 'catalog', 'checkout', 'gateway'],
})
await seconds(gap)
await breakFor('bad-deploy', {
  what: 'payments 2.4.0 throws a TypeError for cards without a billing address; ended by a rollback to 2.3.1',
  root: { service: 'payments', version: '2.4.0' },
  change: { type: 'deploy', service: 'payments', version: '2.4.0' },
  affected: ['payments', 'checkout', 'gateway'],
})
await seconds(tail)

labels.to = new Date().toISOString()
await shop.stop()
writeFileSync(values.out, `${JSON.stringify(labels, null, 2)}\n`)
say(`done: ${String(values.out)}`)
process.exit(0)
