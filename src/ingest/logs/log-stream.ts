/**
 * What the labels of a log stream say of all of its lines: who wrote them, and how severe they are if a line does not say it itself. Label sets come
 * again with each request, so what came of one is kept, a bounded number of them.
 */
import type { Source } from '../../model.ts'
import type { LogColumns } from '../columns.ts'
import type { DecodeContext } from '../decode-context.ts'
import { severityOfFields } from './log-line.ts'
import { parseLokiLabels } from './loki-labels.ts'
import type { Naming } from '../naming/naming.ts'

export type Pairs = readonly (readonly [name: string, value: string])[]

export interface LogStream {
  readonly labels: Pairs
  readonly source: Source
  /** False when no label names a service: what a line says may do so. */
  readonly isNamed: boolean
  readonly severity: number
  /** Why no line of it is taken, or ''. */
  readonly fault: '' | 'too-many-labels' | 'label-too-long'
}

/** Label texts kept, and the longest of them: some 8 MB if all are as long as that. */
const MAX_KEPT = 4_096
const MAX_KEPT_CHARS = 1_024

type KnownStreams = WeakMap<Naming, Map<string, LogStream>>

/** By the naming rules that they were named by, which live as long as the doors. Apart, because anything may be sent as the text of labels. */
const knownByText: KnownStreams = new WeakMap()
const knownByPairs: KnownStreams = new WeakMap()

/** Of labels as text, `{app="shop"}`. */
export function streamOfText(text: string, context: DecodeContext): LogStream {
  return kept(knownByText, text, context, () => streamOf(parseLokiLabels(text, context.limits.maxLabels), context))
}

function kept(known: KnownStreams, key: string, context: DecodeContext, make: () => LogStream): LogStream {
  let streams = known.get(context.naming)
  if (streams === undefined) known.set(context.naming, (streams = new Map()))
  const old = streams.get(key)
  if (old !== undefined) return old
  const stream = make()
  if (key.length <= MAX_KEPT_CHARS) {
    // Starting afresh now and then is cheaper than keeping an order.
    if (streams.size >= MAX_KEPT) streams.clear()
    streams.set(key, stream)
  }
  return stream
}

/** Of labels that were found one by one. */
export function streamOfPairs(labels: Pairs, context: DecodeContext): LogStream {
  return kept(knownByPairs, JSON.stringify(labels), context, () => streamOf(labels, context))
}

export function streamOf(labels: Pairs, context: DecodeContext): LogStream {
  const { maxLabels, maxLabelNameChars, maxLabelValueChars } = context.limits
  const fault =
    labels.length > maxLabels
      ? 'too-many-labels'
      : labels.some(([name, value]) => name.length > maxLabelNameChars || value.length > maxLabelValueChars)
        ? 'label-too-long'
        : ''
  if (fault !== '') return { labels: [], source: { service: '', instance: '', version: '' }, isNamed: true, severity: 0, fault }
  const source = sourceOf(labels, context)
  return { labels, source, isNamed: source.service !== context.naming.named(''), severity: severityOfFields(labels), fault }
}

export function sourceOf(labels: Pairs, context: DecodeContext): Source {
  const { naming } = context
  const lookup = (wanted: string) => labels.find(([name]) => name === wanted)?.[1]
  return { service: naming.logService(lookup), instance: naming.logInstance(lookup), version: naming.version(lookup) }
}

/** Where the lines of a stream go: its source in this batch, -1 when they are not taken, with the reason. */
export interface OpenStream {
  readonly stream: LogStream
  readonly sourceIndex: number
  readonly fault: '' | 'service-limit' | LogStream['fault']
}

export function openStream(stream: LogStream, columns: LogColumns): OpenStream {
  if (stream.fault !== '') return { stream, sourceIndex: -1, fault: stream.fault }
  const sourceIndex = columns.sourceIndex(stream.source)
  return { stream, sourceIndex, fault: sourceIndex < 0 ? 'service-limit' : '' }
}

/** The source of one line that has more to say than its stream. */
export function lineSource(open: OpenStream, metadata: Pairs, columns: LogColumns, context: DecodeContext): number {
  if (open.stream.isNamed || open.fault !== '' || metadata.length === 0) return open.sourceIndex
  return columns.sourceIndex(sourceOf([...open.stream.labels, ...metadata], context))
}
