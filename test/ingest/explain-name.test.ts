import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/errors.ts'
import { namingConfig } from '../../src/ingest/config.ts'
import { explainName, explanationText, parseRow } from '../../src/ingest/naming/explain-name.ts'
import type { NamedSignal } from '../../src/ingest/naming/explain-name.ts'
import { Naming } from '../../src/ingest/naming/naming.ts'

const naming = (settings: Record<string, unknown> = {}) => new Naming(namingConfig.parse(settings), 256)
const told = (signal: NamedSignal, row: string, settings = {}) => explanationText(explainName(naming(settings), signal, parseRow(row)))

describe('why a row is called what it is called', () => {
  it('a metric of a job of many: the rule, what it saw, and what the rules before it saw', () => {
    expect(told('metric', 'up{job="kubernetes-pods",pod="checkout-6d5f8c9b7d-x2k4p",service=""}')).toBe(
      [
        'service   checkout',
        '  by  pod (workload): "checkout-6d5f8c9b7d-x2k4p" gave "checkout"',
        '  not service_name, exported_service, service, app, app_kubernetes_io_name, application, k8s_deployment_name, k8s_statefulset_name, k8s_daemonset_name, exported_pod: not there',
        'instance  checkout-6d5f8c9b7d-x2k4p',
        '  by  pod: "checkout-6d5f8c9b7d-x2k4p"',
        '  not exported_pod: not there',
        '',
      ].join('\n'),
    )
  })

  it('a resource whose SDK was told no name, with an alias', () => {
    const text = told('resource', 'service.name=unknown_service:node, k8s.deployment.name=checkout-svc,service.version=1.4', {
      aliases: { 'checkout-svc': 'checkout' },
    })
    expect(text.split('\n').slice(0, 4)).toEqual([
      'service   checkout',
      '  by  k8s.deployment.name: "checkout-svc"',
      '  as  naming.aliases says that "checkout-svc" is "checkout"',
      '  not service.name: "unknown_service:node" names nobody',
    ])
    expect(text).toContain('version   1.4\n  by  service.version: "1.4"\n')
  })

  it('a log line of nobody', () => {
    const row = explainName(naming(), 'log', parseRow('{job="varlogs",filename="/var/log/x"}'))
    expect(row.service).toMatchObject({ name: 'unknown', rule: undefined, alias: '' })
    expect(row.service.tried).toContainEqual({ from: 'job', take: 'job', saw: 'varlogs', gave: '' })
    expect(explanationText(row)).toContain(
      'service   unknown\n  no rule gave a name: this is naming.unknownService\n  not job (job): "varlogs" names nobody\n',
    )
  })

  it('an alert about a pod, from an exporter: the rules of both kinds are shown', () => {
    const row = explainName(naming(), 'alert', parseRow('{alertname="X",job="kube-state-metrics",namespace="shop",service="ksm"}'))
    expect(row.service).toMatchObject({ name: 'ksm', rule: { from: 'service', gave: 'ksm' } })
    expect(row.service.tried.map(({ from }) => from)).toContain('deployment')
    expect([row.instance, row.version]).toEqual([undefined, undefined])
  })

  it.each<[signal: NamedSignal, row: string]>([
    ['metric', '{job="shop/checkout",pod="a-0"}'],
    ['log', '{container="shop-checkout-1"}'],
    ['resource', 'container.name=shop-checkout-1,host.name=h'],
    ['alert', '{job="kubelet",pod="etcd-n1",node="n1"}'],
  ])('a %s is named as the doors name it', (signal, row) => {
    const values = new Map(parseRow(row))
    const lookup = (name: string) => values.get(name)
    const names = naming()
    const explained = explainName(names, signal, parseRow(row))
    const [service, instance] = {
      metric: [names.metricService(lookup), names.metricInstance(lookup)],
      log: [names.logService(lookup), names.logInstance(lookup)],
      resource: [names.resourceService(lookup), names.resourceInstance(lookup)],
      alert: [names.metricService(lookup), undefined],
    }[signal]
    expect([explained.service.name, explained.instance?.name]).toEqual([service, instance])
  })
})

describe('on a terminal', () => {
  it('obeys nothing of what it was asked about', () => {
    const text = explanationText(explainName(naming(), 'metric', [['job', 'a\u001B[2Jb\nservice  root\u202E']]))
    expect(text).toContain('\\u001b[2J')
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    expect(text.split('\n').filter((line) => line.startsWith('service'))).toHaveLength(1)
  })
})

describe('a row on the command line', () => {
  it.each([
    [
      'up{job="a b",pod="x,y"}',
      [
        ['job', 'a b'],
        ['pod', 'x,y'],
      ],
    ],
    ['{}', []],
    ['{path="C:\\\\x"}', [['path', 'C:\\x']]],
    [
      'a=b, c.d=e=f,',
      [
        ['a', 'b'],
        ['c.d', 'e=f'],
      ],
    ],
    ['a="b"', [['a', 'b']]],
    ['path={x}', [['path', '{x}']]],
    ['', []],
  ])('%s', (text, pairs) => {
    expect(parseRow(text)).toEqual(pairs)
  })

  it.each(['up', '=x', '{a=b}', '{a="b"', '{a="b"} extra', '{a="b",a="c"}', '{__proto__="a",__proto__="b"}'])('%s is none', (text) => {
    expect(() => parseRow(text)).toThrow(DecodeError)
  })
})
