/** What is cut off a longer name, and, as important, what is not. */
import { describe, expect, it } from 'vitest'
import { containerOf, jobOf, patternOf, unitOf, workloadOf } from '../../src/ingest/naming/name-parts.ts'

describe('the workload behind a pod', () => {
  it.each<[what: string, pod: string, workload: string]>([
    ['Deployment', 'checkout-6d5f8c9b7d-x2k4p', 'checkout'],
    ['Deployment', 'my-shop-checkout-7c9d8b6f54-zz2xq', 'my-shop-checkout'],
    ['Deployment whose hash is short', 'checkout-5d4f8c7b-x2k4p', 'checkout'],
    ['Deployment whose name ends in a number', 'checkout-2-6d5f8c9b7d-x2k4p', 'checkout-2'],
    ['Deployment whose name ends in such a word', 'ingress-https-6d5f8c9b7d-x2k4p', 'ingress-https'],
    ['Argo Rollout', 'checkout-canary-7f9c6d5b8f-hjk2w', 'checkout-canary'],
    ['ReplicaSet itself', 'checkout-6d5f8c9b7d', 'checkout'],
    ['DaemonSet', 'node-exporter-x7k2p', 'node-exporter'],
    ['DaemonSet whose suffix has no digit', 'node-exporter-bcdfg', 'node-exporter'],
    ['DaemonSet whose name ends in such a word', 'ingress-https-x2k4p', 'ingress-https'],
    ['StatefulSet', 'postgres-0', 'postgres'],
    ['StatefulSet', 'kafka-broker-12', 'kafka-broker'],
    ['Job', 'migrate-x2k4p', 'migrate'],
    ['indexed Job', 'train-3-x2k4p', 'train'],
    ['CronJob', 'backup-28934480-x2k4p', 'backup'],
    ['CronJob before Kubernetes 1.21', 'backup-1605874020-x2k4p', 'backup'],
    ['indexed CronJob', 'backup-28934480-0-x2k4p', 'backup'],
    ['the Job of a CronJob', 'backup-28934480', 'backup'],
    ['KEDA ScaledJob', 'thumbnails-x2k4p-zz2xq', 'thumbnails'],
    ['OpenShift DeploymentConfig', 'checkout-14-zz2xq', 'checkout'],
    ['Knative revision', 'hello-00003-deployment-6d5f8c9b7d-x2k4p', 'hello'],
    ['static pod', 'kube-apiserver-ip-10-0-1-23.ec2.internal', 'kube-apiserver'],
    ['static pod', 'kube-scheduler-control-1', 'kube-scheduler'],
    ['nothing but a name', 'nginx', 'nginx'],
    ['a word of vowels', 'redis-cache', 'redis-cache'],
    ['a word of five', 'cart-proxy', 'cart-proxy'],
    ['a word of five such characters', 'backup-pgsql', 'backup-pgsql'],
    ['a word of eight', 'web-frontend', 'web-frontend'],
    ['a version', 'checkout-v2', 'checkout-v2'],
    ['a number that no StatefulSet counts to', 'api-12345', 'api-12345'],
    ['a port', 'node-exporter-9100', 'node-exporter-9100'],
    ['a number with zeros in front', 'hello-00003', 'hello-00003'],
    ['a hash and nothing else', '6d5f8c9b7d-x2k4p', '6d5f8c9b7d'],
    ['nothing', '', ''],
  ])('%s: %s → %s', (_what, pod, workload) => {
    expect(workloadOf(pod)).toBe(workload)
  })

  it('a pod that ends in its node is what stands before it', () => {
    expect(workloadOf('etcd-control-1', 'control-1')).toBe('etcd')
    expect(workloadOf('haproxy-node.example', 'node.example')).toBe('haproxy')
    expect(workloadOf('checkout-6d5f8c9b7d-x2k4p', 'control-1')).toBe('checkout')
    expect(workloadOf('-control-1', 'control-1')).toBe('-control')
  })

  it('answers at once for names that nobody would give', () => {
    for (const unit of ['-', '-x2k4p', '-4444444444', '-1', '-2-x2k4p-'])
      for (const end of ['', '!']) {
        const pod = unit.repeat(256).slice(0, 255) + end
        expect(pod.startsWith(workloadOf(pod))).toBe(true)
      }
  })
})

it.each([
  ['shop-checkout-1', 'checkout'],
  ['/shop-checkout-12', 'checkout'],
  ['shop_checkout_1', 'checkout'],
  ['my-shop-checkout-1', 'my-shop-checkout'],
  ['shop_checkout.1.r4nd0mr4nd0mr4nd0mr4nd0m1', 'checkout'],
  ['checkout', 'checkout'],
  ['redis-cache', 'redis-cache'],
  ['k8s_checkout_checkout-6d5f8c9b7d-x2k4p_shop_1_0', 'checkout'],
  ['k8s_POD_checkout-6d5f8c9b7d-x2k4p_shop_1_0', ''],
  ['POD', ''],
  ['4f2a9c81b7d3', ''],
])('the service behind the container %s: %s', (container, service) => {
  expect(containerOf(container)).toBe(service)
})

it.each([
  ['nginx.service', 'nginx'],
  ['getty@tty1.service', 'getty'],
  ['postgresql@15-main.service', 'postgresql'],
  ['logrotate.timer', 'logrotate'],
  ['session-3.scope', ''],
  ['user.slice', ''],
  ['nginx', 'nginx'],
])('the service behind the unit %s: %s', (unit, service) => {
  expect(unitOf(unit)).toBe(service)
})

it.each([
  ['checkout', 'checkout'],
  ['shop/checkout', 'checkout'],
  ['serviceMonitor/shop/checkout/0', 'checkout'],
  ['monitoring/serviceMonitor/shop/checkout/0', 'checkout'],
  ['podMonitor/shop/checkout', 'checkout'],
  ['probe/shop/checkout', 'checkout'],
  ['integrations/kubernetes/cadvisor', 'cadvisor'],
  ['shop/', ''],
])('the service behind the job %s: %s', (job, service) => {
  expect(jobOf(job)).toBe(service)
})

describe('a pattern', () => {
  it.each([
    ['prod-{}-svc', 'prod-checkout-svc', 'checkout'],
    ['prod-{}-svc', 'prod-a-svc-svc', 'a-svc'],
    ['prod-{}-svc', 'prod-svc', ''],
    ['prod-{}-svc', 'prod--svc', ''],
    ['prod-{}-svc', 'test-checkout-svc', ''],
    ['{}', 'checkout', 'checkout'],
    ['{}-*', 'checkout-blue-1', 'checkout'],
    ['*/{}', 'a/b/c', 'b/c'],
    ['*_{}_v*', 'shop_checkout_v12', 'checkout'],
    ['*_{}_v*.x', 'shop_checkout_v12.y', ''],
    ['a{}b*b', 'axb', ''],
    ['a{}b*c*d', 'axb-c-d', 'x'],
    ['a{}b*c*d', 'axb-d', ''],
  ])('%s in %s: %s', (pattern, value, name) => {
    expect(patternOf(pattern)!(value)).toBe(name)
  })

  it.each(['', 'checkout', '{}{}', '*{}', '{}*'])('%j is none', (pattern) => {
    expect(patternOf(pattern)).toBeUndefined()
  })
})
