/** Turns a basket into an order: reserve the stock, take the money, confirm; or give the stock back. */
import { randomUUID } from 'node:crypto'
import { UpstreamError, call } from '../lib/http.js'
import { log } from '../lib/log.js'
import { serve } from '../lib/service.js'

/** One more try, except after a timeout: then the caller has no patience left either. Both calls are idempotent by order. */
async function retrying(service, method, path, body) {
  try {
    return await call(service, method, path, body)
  } catch (err) {
    if (!(err instanceof UpstreamError) || err.status === 504) throw err
    log.warn({ upstream: service, order_id: body.order, attempt: 1 }, `retrying: ${err.message}`)
    return call(service, method, path, body)
  }
}

serve({
  'POST /orders': async ({ body: { items, card } }) => {
    const order = randomUUID()
    const amount = items.reduce((sum, item) => sum + item.quantity * item.price, 0)
    await retrying('inventory', 'POST', '/reservations', { order, items })
    try {
      await retrying('payments', 'POST', '/charges', { order, amount, card })
    } catch (err) {
      log.warn({ order_id: order, amount }, `order cancelled: ${err.message}`)
      // Not waited for: the customer gets the answer now.
      call('inventory', 'PUT', `/reservations/${order}`, { state: 'released' }).catch((problem) =>
        log.error({ err: problem, order_id: order }, 'stock of a cancelled order was not given back'),
      )
      throw err
    }
    await call('inventory', 'PUT', `/reservations/${order}`, { state: 'sold' })
    log.info({ order_id: order, amount, items: items.length }, 'order placed')
    return { order, amount }
  },
})
