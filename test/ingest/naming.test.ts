import { describe, expect, it } from 'vitest'
import { namingConfig } from '../../src/ingest/config.ts'
import { Naming } from '../../src/ingest/naming/naming.ts'

const lookup = (labels: Record<string, string>) => (name: string) => (Object.hasOwn(labels, name) ? labels[name] : undefined)
const naming = (settings: Record<string, unknown> = {}) => new Naming(namingConfig.parse(settings), 256)

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
      'the Prometheus Operator, Promtail, the Collector',
      { job: 'monitoring/serviceMonitor/shop/checkout/0', instance: '10.0.0.7:8080' },
      { job: 'shop/checkout', service_name: 'unknown_service' },
      { 'k8s.replicaset.name': 'checkout-6d5f8c9b7d', 'service.name': 'unknown_service:java' },
    ],
    [
      'a job of all pods',
      { job: 'kubernetes-pods', kubernetes_pod_name: 'checkout-6d5f8c9b7d-x2k4p' },
      { job: 'kubernetes-pods', pod_name: 'checkout-x2k4p' },
      { 'k8s.job.name': 'checkout-28934480' },
    ],
    [
      'docker compose',
      { job: 'cadvisor', name: 'shop-checkout-1', instance: 'cadvisor:8080' },
      { compose_service: 'checkout', container_name: 'shop-checkout-1' },
      { 'container.name': '/shop-checkout-1' },
    ],
    [
      'systemd',
      { job: 'checkout', instance: 'h:9100' },
      { job: 'systemd-journal', unit: 'checkout.service' },
      { 'service.name': 'checkout' },
    ],
    [
      'Docker Swarm',
      { job: 'cadvisor', container_label_com_docker_compose_service: 'checkout', name: 'x' },
      { swarm_service: 'shop_checkout', job: 'docker' },
      { 'container.name': 'shop_checkout.2.r4nd0mr4nd0mr4nd0mr4nd0m1' },
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

  it.each<[what: string, labels: Record<string, string>, service: string, instance: string]>([
    [
      'kube-state-metrics about a pod',
      {
        job: 'kube-state-metrics',
        service: 'prom-kube-state-metrics',
        container: 'app',
        pod: 'checkout-6d5f8c9b7d-x2k4p',
        instance: 'k:8080',
      },
      'checkout',
      'checkout-6d5f8c9b7d-x2k4p',
    ],
    [
      'kube-state-metrics about a Deployment',
      { job: 'integrations/kubernetes/kube-state-metrics', deployment: 'checkout', pod: 'prom-kube-state-metrics-6d5f8c9b7d-x2k4p' },
      'checkout',
      'prom-kube-state-metrics-6d5f8c9b7d-x2k4p',
    ],
    [
      'kube-state-metrics whose labels were not honoured',
      {
        job: 'kubernetes-service-endpoints',
        app_kubernetes_io_name: 'kube-state-metrics',
        exported_pod: 'checkout-0',
        pod: 'ksm-6d5f8c9b7d-x2k4p',
      },
      'checkout',
      'checkout-0',
    ],
    ['kube-state-metrics about a Job', { job: 'prom-kube-state-metrics', job_name: 'backup-28934480' }, 'backup', ''],
    [
      'kube-state-metrics about itself',
      { job: 'kube-state-metrics', pod: 'kube-state-metrics-6d5f8c9b7d-x2k4p', instance: 'k:8081' },
      'kube-state-metrics',
      'kube-state-metrics-6d5f8c9b7d-x2k4p',
    ],
    [
      'cAdvisor in the kubelet about a container',
      {
        job: 'kubelet',
        service: 'prom-kubelet',
        metrics_path: '/metrics/cadvisor',
        container: 'app',
        pod: 'checkout-x2k4p',
        name: '4f2a9c81b7d3',
      },
      'checkout',
      'checkout-x2k4p',
    ],
    ['the kubelet about itself', { job: 'kubelet', service: 'prom-kubelet', instance: 'n:10250' }, 'prom-kubelet', 'n:10250'],
    ['a static pod on a node', { job: 'kubelet', pod: 'etcd-control-1', node: 'control-1' }, 'etcd', 'etcd-control-1'],
    ['node-exporter about its host', { job: 'node-exporter', instance: 'h:9100' }, 'node-exporter', 'h:9100'],
    ['an ingress about a backend', { job: 'ingress', exported_service: 'checkout', service: 'ingress-metrics' }, 'checkout', ''],
    [
      'a Pushgateway about who pushed',
      { job: 'pushgateway', exported_job: 'backup', instance: 'p:9091', exported_instance: 'h1' },
      'backup',
      'h1',
    ],
    ['a job that names nobody', { job: 'kubernetes-pods', instance: '10.0.0.7:80' }, 'unknown', '10.0.0.7:80'],
    ['a name that merely ends like an exporter', { job: 'mycadvisor', service: 'shop', pod: 'x-0' }, 'shop', 'x-0'],
  ])('%s', (_what, labels, service, instance) => {
    expect([naming().metricService(lookup(labels)), naming().metricInstance(lookup(labels))]).toEqual([service, instance])
  })

  it('reads a name out of the middle of a label', () => {
    const names = naming({ metricService: [{ from: 'job', take: { like: 'prod-{}-svc' } }, 'job'] })
    expect(names.metricService(lookup({ job: 'prod-checkout-svc' }))).toBe('checkout')
    expect(names.metricService(lookup({ job: 'checkout' }))).toBe('checkout')
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
  const result = namingConfig.safeParse({
    metricService: [{ from: 'a', take: 'everything' }],
    logService: [{ from: 'a', take: { like: '*{}' } }],
    extra: 1,
  })
  expect(result.success).toBe(false)
  expect(result.error?.issues.map((issue) => issue.path.join('.')).sort()).toEqual(['', 'logService.0.take.like', 'metricService.0'])
})
