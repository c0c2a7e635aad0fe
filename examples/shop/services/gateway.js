/** The entry: what browsers call. */
import { HttpError, call } from '../lib/http.js'
import { serve } from '../lib/service.js'

serve({
  'GET /': async () => ({ title: 'The shop', featured: await call('catalog', 'GET', '/featured') }),

  'GET /products': ({ query }) => call('catalog', 'GET', `/products?${query}`),

  'POST /checkout': ({ body }) => {
    if (!body?.items?.length) throw new HttpError(400, 'the basket is empty')
    return call('checkout', 'POST', '/orders', body)
  },
})
