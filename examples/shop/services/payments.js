/** Charges cards. The card network is the one thing not real here: it is a wait with a realistic spread. */
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpError } from '../lib/http.js'
import { log } from '../lib/log.js'
import { serve } from '../lib/service.js'

// In a real repository 2.4 replaced 2.3; both are kept here so that one can be deployed and rolled back.
const { assessRisk } = await import(process.env.VERSION.startsWith('2.4.') ? './risk-2.4.js' : './risk-2.3.js')

serve({
  'POST /charges': async ({ body: { order, amount, card } }) => {
    const risk = assessRisk(card, amount)
    await sleep(25 - 20 * Math.log(1 - Math.random()))
    if (risk > 0.9 || Math.random() < 0.02) {
      log.warn({ order_id: order, amount, risk }, 'card declined')
      throw new HttpError(402, 'the card was declined')
    }
    return { charge: `ch_${order.slice(0, 8)}`, amount }
  },
})
