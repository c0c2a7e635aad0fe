/** The service's Prometheus metrics: Node's own and the two that every HTTP service has. */
import { Counter, Gauge, Histogram, collectDefaultMetrics, register } from 'prom-client'

collectDefaultMetrics()

const requests = new Counter({
  name: 'http_requests_total',
  help: 'HTTP requests answered',
  labelNames: ['method', 'route', 'status'],
})

const duration = new Histogram({
  name: 'http_request_duration_seconds',
  help: 'Time taken to answer an HTTP request',
  labelNames: ['method', 'route'],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5],
})

export function countRequest(method, route, status, seconds) {
  requests.inc({ method, route, status })
  duration.observe({ method, route }, seconds)
}

/** A gauge whose values `collect` sets when it is scraped. */
export function gauge(name, help, labelNames, collect) {
  return new Gauge({
    name,
    help,
    labelNames,
    collect() {
      collect(this)
    },
  })
}

export const exposition = { type: register.contentType, text: () => register.metrics() }
