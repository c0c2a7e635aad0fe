import { describe, expect, it } from 'vitest'
import { namingConfig } from '../../src/ingest/config.ts'
import { Naming, workloadOf } from '../../src/ingest/naming.ts'

const lookup = (labels: Record<string, string>) => (name: string) => (Object.hasOwn(labels, name) ? labels[name] : undefined)
const naming = (settings: Record<string, unknown> = {}) => new Naming(namingConfig.parse(settings), 256)

describe('the workload behind a pod', () => {
  it.each([
    ['checkout-6d5f8c9b7d-x2k4p', 'checkout'],
    ['my-shop-checkout-7c9d8b6f54-zz2xq', 'my-shop-checkout'],
    ['node-exporter-x7k2p', 'node-exporter'],
    ['postgres-0', 'postgres'],
    ['kafka-broker-12', 'kafka-broker'],
    ['backup-28934480-x2k4p', 'backup'],
    ['nginx', 'nginx'],
    ['redis-cache', 'redis-cache'],
    ['cart-proxy', 'cart-proxy'],
    ['', ''],
  ])('%s → %s', (pod, workload) => {
    expect(workloadOf(pod)).toBe(workload)
  })
})

describe('one service, three signals, one name', () => {
  it.each<[what: string, metric: Record<string, string>, stream: Record<string, string>, resource: Record<string, string>]>([
    ['scraped by job, logged by app, traced', { job: 'checkout', instance: 'h:1' }, { app: 'checkout' }, { 'service.name': 'checkout' }],
    [
      'OpenTelemetry job with a namespace',
      { job: 'shop/checkout' },
      { service_name: 'checkout' },
      { 'service.name': 'checkout', 'service.namespace': 'shop' },
    ],
    [
      'Kubernetes without labels',
      { pod: 'checkout-6d5f8c9b7d-x2k4p', job: 'kubelet' },
      { pod: 'checkout-6d5f8c9b7d-zz2xq', job: 'shop/x' },
      { 'k8s.pod.name': 'checkout-6d5f8c9b7d-x2k4p' },
    ],
    [
      'an SDK that was told no name',
      { service: 'checkout' },
      { service: 'checkout' },
      { 'service.name': 'unknown_service:node', 'k8s.deployment.name': 'checkout' },
    ],
  ])('%s', (_what, metric, stream, resource) => {
    const names = naming()
    expect([names.metricService(lookup(metric)), names.logService(lookup(stream)), names.resourceService(lookup(resource))]).toEqual([
      'checkout',
      'checkout',
      'checkout',
    ])
  })

  it('goes by the order of the rules, and an empty value is none', () => {
    const labels = { service_name: '', app: 'b', job: 'c' }
    expect(naming().metricService(lookup(labels))).toBe('b')
    expect(naming({ metricService: ['job', 'app'] }).metricService(lookup(labels))).toBe('c')
    expect(naming({ metricService: [{ from: 'path', take: 'last-segment' }] }).metricService(lookup({ path: 'a/b/c' }))).toBe('c')
  })

  it('resolves aliases, in all signals', () => {
    const names = naming({ aliases: { 'checkout-svc': 'checkout' } })
    expect([
      names.metricService(lookup({ job: 'checkout-svc' })),
      names.logService(lookup({ app: 'checkout-svc' })),
      names.resourceService(lookup({ 'service.name': 'checkout-svc' })),
    ]).toEqual(['checkout', 'checkout', 'checkout'])
    expect(names.peer(lookup({ 'peer.service': 'checkout-svc' }))).toBe('checkout')
  })

  it('says so when nothing names the service', () => {
    expect(naming().metricService(lookup({}))).toBe('unknown')
    expect(naming({ unknownService: 'nobody' }).logService(lookup({ service: '  ' }))).toBe('nobody')
    expect(naming().resourceService(lookup({ 'service.name': 'unknown_service:java' }))).toBe('unknown')
  })

  it('clips names and takes the bad characters out', () => {
    expect(naming().named(`a\0${'b'.repeat(500)}`)).toBe(`a\ufffd${'b'.repeat(254)}`)
    expect(naming().named(`${'b'.repeat(255)}\u{1f514}`)).toBe('b'.repeat(255))
  })
})

describe('what a client span calls', () => {
  it.each<[attributes: Record<string, string>, peer: string]>([
    [{ 'peer.service': 'billing', 'server.address': 'b', 'server.port': '80' }, 'billing'],
    [{ 'db.system': 'postgresql', 'server.address': 'db', 'server.port': '5432' }, 'postgresql'],
    [{ 'db.system.name': 'mysql' }, 'mysql'],
    [{ 'messaging.system': 'kafka', 'net.peer.name': 'k' }, 'kafka'],
    [{ 'rpc.service': 'shop.Cart' }, 'shop.Cart'],
    [{ 'server.address': 'cart', 'server.port': '8080' }, 'cart:8080'],
    [{ 'server.address': 'cart' }, 'cart'],
    [{ 'net.peer.name': 'cart', 'net.peer.port': '81' }, 'cart:81'],
    [{ 'url.full': 'http://x' }, ''],
    [{}, ''],
  ])('%j → %s', (attributes, peer) => {
    expect(naming().peer(lookup(attributes))).toBe(peer)
  })
})

it('refuses rules that it does not know, by path', () => {
  const result = namingConfig.safeParse({ metricService: [{ from: 'a', take: 'everything' }], extra: 1 })
  expect(result.success).toBe(false)
  expect(result.error?.issues.map((issue) => issue.path.join('.')).sort()).toEqual(['', 'metricService.0'])
})
