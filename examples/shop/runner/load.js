/**
 * The customers: an open loop (they come whether or not the shop is fast) with random gaps, their number swelling and ebbing
 * mildly. Not instrumented: browsers are not either. Tells the runner what they experienced.
 */
import { products } from '../lib/products.js'
import { seeded } from '../lib/random.js'

const { GATEWAY_URL, RPS, SEED } = process.env
const random = seeded(Number(SEED))
const SWELL = 0.25
const PERIOD_MS = 180_000
const GIVE_UP_MS = 10_000
const start = Date.now()
let finished = []

function basket() {
  const chosen = new Map()
  for (let n = 1 + Math.floor(random.exponential(0.8)); n > 0; n--) {
    const { sku, price } = random.pick(products)
    chosen.set(sku, { sku, price, quantity: (chosen.get(sku)?.quantity ?? 0) + 1 })
  }
  return [...chosen.values()]
}

function card() {
  const brand = random.pick(['visa', 'mastercard', 'amex'])
  // Wallets (45 %) pass on no billing address.
  if (random.chance(0.45)) return { brand, wallet: random.pick(['apple', 'google']) }
  return { brand, billing: { country: random.pick(['DE', 'DE', 'DE', 'AT', 'FR', 'US']) } }
}

/** What a customer does next: [method, path, body]. */
function action() {
  const roll = random.next()
  if (roll < 0.15) return ['GET', '/']
  if (roll < 0.45) return ['GET', '/products']
  if (roll < 0.72) return ['GET', `/products?category=${random.pick(['kitchen', 'home', 'garden'])}`]
  return ['POST', '/checkout', { items: basket(), card: card() }]
}

async function visit() {
  const [method, path, body] = action()
  const began = performance.now()
  const at = Date.now()
  let status = 0 // no answer
  try {
    const response = await fetch(GATEWAY_URL + path, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(GIVE_UP_MS),
    })
    await response.arrayBuffer()
    status = response.status
  } catch {
    // Stays 0.
  }
  finished.push({ at, status, ms: Math.round(performance.now() - began) })
}

function next() {
  void visit()
  const rate = Number(RPS) * (1 + SWELL * Math.sin((2 * Math.PI * (Date.now() - start)) / PERIOD_MS))
  setTimeout(next, random.exponential(1000 / rate))
}
next()

setInterval(() => {
  if (process.connected && finished.length > 0) process.send({ finished })
  finished = []
}, 500)

process.on('SIGINT', () => {}) // Ctrl-C reaches the whole group; the runner decides the order.
process.on('SIGTERM', () => process.exit(0))
process.on('disconnect', () => process.exit(0))
