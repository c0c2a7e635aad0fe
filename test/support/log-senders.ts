/** The log lines of the story as Loki's clients, OpenTelemetry and a Kafka topic of lines carry them. A line says the same in each form. */
import type { Line, Step } from './door-story.ts'
import { nanos } from './metric-senders.ts'
import type { Sent } from './metric-senders.ts'
import type { TopicRecord } from './pipeline.ts'
import { encode } from '../ingest/protobuf-oracle.ts'
import { snappy } from '../ingest/remote-write-oracle.ts'

export type LogSender = (step: Step) => { requests?: Sent[]; records?: TopicRecord[] }

export const LINES_TOPIC = 'lines'
const PUSH = '/loki/api/v1/push'

/** Level and message, as most loggers write to a file. */
const lineOf = ({ level, text }: Line) => `level=${level} msg=${JSON.stringify(text)}`

export const lokiJson: LogSender = ({ lines }) => {
  const streams = [...byPod(lines)].map(([pod, own]) => ({
    stream: { app: own[0]!.service, pod },
    values: own.map((line) => [nanos(line.timeMs), lineOf(line)]),
  }))
  return requestsOf(streams.length, {
    path: PUSH,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ streams })),
  })
}

export const lokiProtobuf: LogSender = ({ lines }) => {
  const streams = [...byPod(lines)].map(([pod, own]) => ({
    labels: `{app="${own[0]!.service}", pod="${pod}"}`,
    entries: own.map((line) => ({
      timestamp: { seconds: Math.floor(line.timeMs / 1000), nanos: Math.round((line.timeMs % 1000) * 1e6) },
      line: lineOf(line),
    })),
  }))
  const body = snappy(encode('PushRequest', { streams }))
  return requestsOf(streams.length, { path: PUSH, headers: { 'content-type': 'application/x-protobuf' }, body })
}

const SEVERITY = { info: 9, error: 17 }

export const otlpLogs: LogSender = ({ lines }) => {
  const resourceLogs = [...byPod(lines)].map(([pod, own]) => ({
    resource: {
      attributes: Object.entries({ 'service.name': own[0]!.service, 'service.instance.id': pod }).map(([key, stringValue]) => ({
        key,
        value: { stringValue },
      })),
    },
    scopeLogs: [
      {
        logRecords: own.map((line) => ({
          timeUnixNano: nanos(line.timeMs),
          severityNumber: SEVERITY[line.level],
          severityText: line.level.toUpperCase(),
          body: { stringValue: line.text },
        })),
      },
    ],
  }))
  const body = encode('LogsData', { resourceLogs })
  return requestsOf(resourceLogs.length, { path: '/v1/logs', headers: { 'content-type': 'application/x-protobuf' }, body })
}

/** JSON lines, one per record. */
export const lineRecords: LogSender = ({ lines }) => ({
  records: lines.map(({ service, pod, timeMs, level, text }) => ({
    topic: LINES_TOPIC,
    value: Buffer.from(JSON.stringify({ time: new Date(timeMs).toISOString(), level, service, pod, msg: text })),
  })),
})

function requestsOf(streams: number, request: Sent): { requests: Sent[] } {
  return { requests: streams === 0 ? [] : [request] }
}

function byPod(lines: readonly Line[]): Map<string, Line[]> {
  const pods = new Map<string, Line[]>()
  for (const line of lines) {
    const own = pods.get(line.pod)
    if (own === undefined) pods.set(line.pod, [line])
    else own.push(line)
  }
  return pods
}
