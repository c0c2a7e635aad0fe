/** The stock, in PostgreSQL. */
import { Pool } from 'pg'
import { HttpError } from '../lib/http.js'
import { log } from '../lib/log.js'
import { gauge } from '../lib/metrics.js'
import { serve } from '../lib/service.js'

const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  max: 6,
  connectionTimeoutMillis: 1500,
  statement_timeout: 1800,
  application_name: 'inventory',
})
pool.on('error', (err) => log.warn({ err }, 'idle database connection lost'))

gauge('pg_pool_connections', 'Connections of the pool by state; waiting are requests without one', ['state'], (states) => {
  states.set({ state: 'idle' }, pool.idleCount)
  states.set({ state: 'active' }, pool.totalCount - pool.idleCount)
  states.set({ state: 'waiting' }, pool.waitingCount)
})

/** A failing database is not the caller's fault nor a bug here: 503, so that the caller may retry. */
async function unavailable(work) {
  try {
    return await work()
  } catch (err) {
    if (err instanceof HttpError) throw err
    throw new HttpError(503, `database: ${err.message}`, { cause: err })
  }
}

function transaction(work) {
  return unavailable(async () => {
    const client = await pool.connect()
    let broken
    try {
      await client.query('BEGIN')
      const result = await work(client)
      await client.query('COMMIT')
      return result
    } catch (err) {
      // Without a rollback the connection is of no further use.
      await client.query('ROLLBACK').catch((problem) => (broken = problem))
      throw err
    } finally {
      client.release(broken)
    }
  })
}

/** Moves stock out (sign -1) or back in (+1). Ordered locking first, or two orders with the same products could deadlock. */
async function moveStock(client, items, sign) {
  const skus = items.map((item) => item.sku)
  const { rows } = await client.query('SELECT sku, quantity FROM stock WHERE sku = ANY($1) ORDER BY sku FOR UPDATE', [skus])
  const left = Object.fromEntries(rows.map((row) => [row.sku, row.quantity]))
  for (const { sku, quantity } of items) {
    if (!(left[sku] + sign * quantity >= 0)) throw new HttpError(409, `${sku} is sold out`)
  }
  await client.query(
    'UPDATE stock SET quantity = stock.quantity + $3 * moved.quantity FROM unnest($1::text[], $2::int[]) AS moved (sku, quantity) WHERE stock.sku = moved.sku',
    [skus, items.map((item) => item.quantity), sign],
  )
}

// New deliveries: what runs low is filled up.
async function replenish() {
  try {
    const { rows } = await pool.query('UPDATE stock SET quantity = 300 WHERE quantity < 80 RETURNING sku')
    if (rows.length > 0) log.info({ skus: rows.map((row) => row.sku) }, 'stock replenished')
  } catch (err) {
    log.warn({ err }, 'stock was not replenished')
  }
}
setInterval(() => void replenish(), 30_000)

serve(
  {
    'GET /stock': ({ query }) =>
      unavailable(async () => {
        const { rows } = await pool.query('SELECT sku, quantity FROM stock WHERE sku = ANY($1)', [query.get('skus').split(',')])
        return Object.fromEntries(rows.map((row) => [row.sku, row.quantity]))
      }),

    'POST /reservations': ({ body: { order, items } }) =>
      transaction(async (client) => {
        const { rowCount } = await client.query(
          "INSERT INTO reservation (order_id, items, state) VALUES ($1, $2, 'reserved') ON CONFLICT (order_id) DO NOTHING",
          [order, JSON.stringify(items)],
        )
        if (rowCount > 0) await moveStock(client, items, -1)
      }),

    'PUT /reservations/:order': ({ params, body: { state } }) =>
      transaction(async (client) => {
        const { rows } = await client.query(
          "UPDATE reservation SET state = $2 WHERE order_id = $1 AND state = 'reserved' RETURNING items",
          [params.order, state],
        )
        if (rows.length > 0 && state === 'released') await moveStock(client, rows[0].items, 1)
      }),
  },
  () => pool.end(),
)
