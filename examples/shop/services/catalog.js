/** Products with what is in stock of each. */
import { call } from '../lib/http.js'
import { log } from '../lib/log.js'
import { products } from '../lib/products.js'
import { serve } from '../lib/service.js'

async function withStock(list) {
  const stock = await call('inventory', 'GET', `/stock?skus=${list.map((product) => product.sku)}`)
  return list.map((product) => ({ ...product, available: stock[product.sku] > 0 }))
}

// The three featured products change every two minutes.
let featured = 0
setInterval(() => {
  featured = (featured + 3) % products.length
  log.info({ skus: products.slice(featured, featured + 3).map((product) => product.sku) }, 'featured products changed')
}, 120_000)

let burning

/** The fault `cpu-hog`: of every 600 ms the event loop is blocked for 510, as by a regular expression gone wild. */
function burn() {
  const until = performance.now() + 510
  while (performance.now() < until);
  burning = setTimeout(burn, 90)
}

serve({
  'GET /featured': () => withStock(products.slice(featured, featured + 3)),

  'GET /products': ({ query }) => {
    const category = query.get('category')
    return withStock(category ? products.filter((product) => product.category === category) : products)
  },

  'POST /admin/burn': ({ body }) => {
    clearTimeout(burning)
    if (body.on) burn()
  },
})
