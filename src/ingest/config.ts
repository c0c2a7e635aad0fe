/**
 * The ingest part of the configuration: how much is taken in, how things are named, which Kafka topics are read. Every field has
 * a default that suits a first try; the limits are what keeps a hostile or broken sender from taking the whole process with it.
 */
import { z } from 'zod'
import { patternOf } from './naming/name-parts.ts'

const count = (fallback: number, text: string) => z.number().int().positive().default(fallback).describe(text)

export const limitsConfig = z.strictObject({
  maxBodyBytes: count(16 * 1024 * 1024, 'Largest request body as it comes over the wire; larger ones get 413.'),
  maxDecodedBytes: count(64 * 1024 * 1024, 'Largest body after decompression; checked before memory is taken.'),
  maxInFlightBytes: count(256 * 1024 * 1024, 'Bodies being received or handled at the same time, in bytes; beyond it senders get 429.'),
  maxReceiveMs: count(60_000, 'A request that has not come in whole after this long is refused with 408, in milliseconds.'),
  maxHandleMs: count(20_000, 'What the stages behind the doors have not taken after this long is answered with 503, in milliseconds.'),
  maxRowsPerRequest: count(1_000_000, 'Samples, log lines or spans in one request; more gets 413.'),
  maxRecordBytes: count(900_000, 'Largest record written to the telemetry topic; keep it below the message limit of the broker.'),
  maxSeries: count(200_000, 'Metric series active at the same time, per process; samples of further ones are rejected.'),
  maxSeriesPerService: count(20_000, 'Metric series active at the same time for one service.'),
  seriesIdleMs: count(3_600_000, 'A series not seen for this long no longer counts.'),
  maxServices: count(5_000, 'Services active at the same time; rows of further ones are rejected.'),
  maxSamplesPerServiceS: count(
    20_000,
    'Samples that one service may send per second, per process; what is beyond is rejected and counted, its neighbours go on.',
  ),
  maxLinesPerServiceS: count(10_000, 'The same for log lines.'),
  maxSpansPerServiceS: count(10_000, 'The same for spans.'),
  serviceBurstS: count(120, 'What a service may send at once, in seconds of the above: what its senders kept back during an outage.'),
  maxLabels: count(64, 'Labels of one series or log stream.'),
  maxLabelNameChars: count(256, 'Characters in a label name.'),
  maxLabelValueChars: count(2_048, 'Characters in a label value.'),
  maxLineBytes: count(64 * 1024, 'Bytes of a log line that are looked at; the rest is cut off and counted.'),
  maxNameChars: count(256, 'Characters kept of a service, instance, operation or peer name.'),
  maxAgeMs: count(24 * 3_600_000, 'Rows older than this on arrival are rejected.'),
  maxFutureMs: count(10 * 60_000, 'Rows further ahead than this on arrival are rejected.'),
})
export type Limits = z.infer<typeof limitsConfig>

const nameRule = z.union([
  z.string().min(1),
  z.strictObject({
    from: z.string().min(1).describe('Label or attribute to look at.'),
    take: z
      .union([
        z.enum(['value', 'workload', 'container', 'unit', 'job', 'last-segment']),
        z.strictObject({
          like: z
            .string()
            .max(256)
            .refine(
              (pattern) => patternOf(pattern) !== undefined,
              'must hold one {} where the name stands, and no * beside it: prod-{}-svc',
            )
            .describe('What the value looks like, with `{}` where the name stands and `*` for anything: `prod-{}-svc`.'),
        }),
      ])
      .default('value')
      .describe(
        '`workload`: a pod name without what its Deployment, StatefulSet, DaemonSet, Job or CronJob appended; `container`: without what docker compose puts around it; `unit`: a systemd unit without its suffix; `job`: a Prometheus job without its namespace, unless it is generic; `last-segment`: what follows the last slash.',
      ),
  }),
])
export type NameRule = z.infer<typeof nameRule>

const rules = (fallback: NameRule[], text: string) => z.array(nameRule).default(fallback).describe(text)
const names = (fallback: string[], text: string) => z.array(z.string().min(1)).default(fallback).describe(text)

export const namingConfig = z.strictObject({
  metricService: rules(
    [
      'service_name',
      'exported_service',
      'service',
      'app',
      'app_kubernetes_io_name',
      'application',
      'k8s_deployment_name',
      'k8s_statefulset_name',
      'k8s_daemonset_name',
      { from: 'exported_pod', take: 'workload' },
      { from: 'pod', take: 'workload' },
      { from: 'k8s_pod_name', take: 'workload' },
      { from: 'kubernetes_pod_name', take: 'workload' },
      { from: 'pod_name', take: 'workload' },
      { from: 'container', take: 'container' },
      { from: 'exported_job', take: 'job' },
      { from: 'job', take: 'job' },
    ],
    'Labels of a metric that may name its service, first match wins. Alerts use them too.',
  ),
  exporters: names(
    ['kube-state-metrics', 'cadvisor', 'kubelet', 'kubernetes-nodes'],
    'Jobs that report on others: their own `service`, `app` and `container` labels say nothing of whom a series is about. `-cadvisor` at the end counts, too.',
  ),
  exporterService: rules(
    [
      'exported_service',
      'deployment',
      'statefulset',
      'daemonset',
      'cronjob',
      { from: 'job_name', take: 'workload' },
      { from: 'replicaset', take: 'workload' },
      'horizontalpodautoscaler',
      'container_label_com_docker_compose_service',
      { from: 'exported_pod', take: 'workload' },
      { from: 'pod', take: 'workload' },
      { from: 'pod_name', take: 'workload' },
      { from: 'name', take: 'container' },
    ],
    'Labels that name whom a series of such an exporter is about; where none does, `metricService` is asked.',
  ),
  genericJobs: names(
    [
      'kubernetes-pods',
      'kubernetes-pods-slow',
      'kubernetes-service-endpoints',
      'kubernetes-service-endpoints-slow',
      'kubernetes-services',
      'kubernetes-endpoints',
      'kubernetes-ingresses',
      'pods',
      'services',
      'endpoints',
      'varlogs',
      'containerlogs',
      'systemd-journal',
      'journal',
    ],
    'Jobs that hold many services and name none of them.',
  ),
  metricInstance: rules(
    [
      'exported_pod',
      'pod',
      'k8s_pod_name',
      'kubernetes_pod_name',
      'pod_name',
      'exported_instance',
      'instance',
      'service_instance_id',
      'hostname',
      'host',
    ],
    'Labels of a metric that may name the copy of the service.',
  ),
  logService: rules(
    [
      'service_name',
      'service.name',
      'service',
      'app',
      'app_kubernetes_io_name',
      'application',
      'k8s_deployment_name',
      'k8s_statefulset_name',
      'k8s_daemonset_name',
      'compose_service',
      { from: 'swarm_service', take: { like: '*_{}' } },
      { from: 'pod', take: 'workload' },
      { from: 'k8s_pod_name', take: 'workload' },
      { from: 'kubernetes_pod_name', take: 'workload' },
      { from: 'pod_name', take: 'workload' },
      { from: 'container', take: 'container' },
      { from: 'container_name', take: 'container' },
      { from: 'unit', take: 'unit' },
      'syslog_identifier',
      { from: 'job', take: 'job' },
      'component',
    ],
    'Labels of a Loki stream that may name the service.',
  ),
  logInstance: rules(
    ['pod', 'k8s_pod_name', 'kubernetes_pod_name', 'pod_name', 'instance', 'service_instance_id', 'hostname', 'host', 'node_name'],
    'Labels of a Loki stream that may name the copy.',
  ),
  resourceService: rules(
    [
      'service.name',
      'k8s.deployment.name',
      'k8s.statefulset.name',
      'k8s.daemonset.name',
      'k8s.cronjob.name',
      { from: 'k8s.job.name', take: 'workload' },
      { from: 'k8s.replicaset.name', take: 'workload' },
      { from: 'k8s.pod.name', take: 'workload' },
      'faas.name',
      { from: 'container.name', take: 'container' },
      'k8s.container.name',
    ],
    'OpenTelemetry resource attributes that may name the service; a namespace is no part of it.',
  ),
  resourceInstance: rules(
    ['k8s.pod.name', 'service.instance.id', 'faas.instance', 'host.name'],
    'OpenTelemetry resource attributes that may name the copy.',
  ),
  version: rules(
    ['service.version', 'service_version', 'version', 'app_kubernetes_io_version', 'container.image.tag'],
    'Labels or resource attributes that hold the version that runs.',
  ),
  peer: z
    .array(z.string().min(1))
    .default([
      'peer.service',
      'service.peer.name',
      'db.system.name',
      'db.system',
      'messaging.system',
      'rpc.service',
      'server.address',
      'net.peer.name',
      'http.host',
    ])
    .describe('Span attributes that say what a client or producer span calls, first match wins; an address is joined with its port.'),
  aliases: z
    .record(z.string(), z.string().min(1))
    .default({})
    .describe('Other names of a service, when its signals do not agree: `checkout-svc: checkout`.'),
  unknownService: z.string().min(1).default('unknown').describe('The service of rows that name none.'),
})
export type NamingConfig = z.infer<typeof namingConfig>

/** Forms in which the records of a Kafka topic can be read, by what they carry. */
export const ENCODINGS_OF = {
  metrics: ['otlp_proto', 'otlp_json', 'remote_write', 'mimir', 'adapter_json'],
  logs: ['otlp_proto', 'otlp_json', 'loki_proto', 'loki_json', 'loki_stream', 'lines'],
  traces: ['otlp_proto', 'otlp_json', 'jaeger_proto', 'jaeger_json', 'zipkin_proto', 'zipkin_json'],
  events: ['alerts', 'alertmanager_webhook', 'changes'],
} as const
export type SourceSignal = keyof typeof ENCODINGS_OF
export type PayloadEncoding = (typeof ENCODINGS_OF)[SourceSignal][number]

const SIGNALS = Object.keys(ENCODINGS_OF) as SourceSignal[]
export const PAYLOAD_ENCODINGS: readonly PayloadEncoding[] = [...new Set(SIGNALS.flatMap((signal) => ENCODINGS_OF[signal]))]

const sourceConfig = z
  .strictObject({
    topic: z.string().min(1).describe('Kafka topic with native payloads.'),
    signal: z.enum(SIGNALS).describe('What the topic carries; OTLP payloads cannot be told apart without it.'),
    encoding: z
      .enum(['auto', ...PAYLOAD_ENCODINGS])
      .default('auto')
      .describe(
        'How its records are encoded; `auto` looks at headers, then at the first bytes. `remote_write`: 1.0 or 2.0, plain or snappy. `mimir`: ' +
          "ingest storage. `adapter_json`: prometheus-kafka-adapter's samples. `loki_stream`: one stream per record, as Loki itself writes. " +
          '`lines`: one log line per record, JSON or text. `changes`: deploys, CloudEvents, CDEvents.',
      ),
    service: z.string().default('').describe('Service of log lines that name none (`lines` only).'),
  })
  .refine(({ signal, encoding }) => encoding === 'auto' || carries(signal, encoding), {
    path: ['encoding'],
    error: ({ input }) => {
      const { signal, encoding } = input as { signal: SourceSignal; encoding: string }
      return `${encoding} carries no ${signal}: use ${ENCODINGS_OF[signal].join(', ')} or auto`
    },
  })

function carries(signal: SourceSignal, encoding: PayloadEncoding): boolean {
  const of: readonly PayloadEncoding[] = ENCODINGS_OF[signal]
  return of.includes(encoding)
}

export type SourceConfig = z.infer<typeof sourceConfig>

const grpcConfig = z.strictObject({
  enabled: z
    .union([z.boolean(), z.literal('auto')])
    .default('auto')
    .describe(
      'Whether OTLP over gRPC is taken. `auto`: where the port is free, else a warning; with `true` a port that is taken ends the start.',
    ),
  host: z.string().default('').describe('Address to listen on. Empty: the one of `http.host`.'),
  port: z.int().min(0).max(65535).default(4317).describe('4317 is where OTLP/gRPC exporters look. 0 takes a free one.'),
})

export const ingestConfig = z.strictObject({
  tickMs: count(5_000, 'How often time is told to every partition.'),
  alertTimeoutMs: count(300_000, 'An alert without an end is over when it has not been repeated for this long.'),
  webhookAlertTimeoutMs: count(
    5 * 3_600_000,
    'The same for alerts from an Alertmanager webhook, which repeats them after its repeat_interval only (4 h by default).',
  ),
  grpc: grpcConfig.prefault({}).describe('OTLP over gRPC, without TLS; senders show `http.token` there, too.'),
  limits: limitsConfig.prefault({}).describe('What is taken in at most.'),
  naming: namingConfig.prefault({}).describe('How services, instances and peers are named.'),
  sources: z
    .array(sourceConfig)
    .default([])
    .refine((sources) => new Set(sources.map((source) => source.topic)).size === sources.length, 'each topic may be listed once')
    .describe('Kafka topics to read native payloads from.'),
})
export type IngestConfig = z.infer<typeof ingestConfig>
