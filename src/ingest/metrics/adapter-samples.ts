/**
 * Samples as prometheus-kafka-adapter writes them, in JSON or in the JSON text of Avro: one object per sample, alone, one per line or in an
 * array. Values are decimal text, because JSON has no NaN and no infinity. Times come cut to whole seconds.
 * https://github.com/Telefonica/prometheus-kafka-adapter/blob/master/serializers.go
 */
import { DecodeError } from '../../errors.ts'
import type { MetricBatch } from '../../model.ts'
import { MetricColumns } from '../columns.ts'
import { timeFault } from '../decode-context.ts'
import type { DecodeContext } from '../decode-context.ts'
import { expectFewValues } from '../wire/json-body.ts'
import type { LineRecord } from '../logs/line-records.ts'
import { admitSeries, labelFault } from './metric-series.ts'

const LINE_FEED = 0x0a

export function decodeAdapterSamples(body: Uint8Array, context: DecodeContext): MetricBatch {
  const columns = new MetricColumns(context)
  if (!readBody(body, columns, context)) throw new DecodeError('malformed', 'the body is no JSON, neither as a whole nor line by line')
  return columns.finish()
}

/** Many records at once. Those of which nothing can be read are told in `context.unread`. */
export function decodeAdapterRecords(records: readonly LineRecord[], context: DecodeContext): MetricBatch {
  const columns = new MetricColumns(context)
  for (let index = 0; index < records.length; index++) {
    const { rows } = columns
    const rejected = context.rejected.total
    if (!readBody(records[index]!.value, columns, context)) {
      context.unread?.push({ index, error: new DecodeError('malformed', 'the record is no JSON, neither as a whole nor line by line') })
    } else if (columns.rows === rows && context.rejected.total > rejected) {
      const reason = UNREADABLE.find((one) => one === context.rejected.latest)
      if (reason !== undefined) context.unread?.push({ index, error: new DecodeError(reason, FAULT_TEXT) })
    }
  }
  return columns.finish()
}

/** What is wrong with the sample itself; the others say that it comes at the wrong time or is one too many. */
const UNREADABLE = ['not-json', 'not-a-sample', 'bad-time', 'bad-value']
const FAULT_TEXT = 'a sample is an object with timestamp (RFC 3339), value (decimal text), name and labels (texts)'

/** False: there is no JSON in it. */
function readBody(body: Uint8Array, columns: MetricColumns, context: DecodeContext): boolean {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  expectFewValues(text)
  const whole = parsed(text.toString('utf8'))
  if (whole === undefined) return takeLines(text, columns, context)
  if (Array.isArray(whole)) for (const one of whole) takeSample(one, columns, context)
  else takeSample(whole, columns, context)
  return true
}

function takeLines(text: Buffer, columns: MetricColumns, context: DecodeContext): boolean {
  let bad = 0
  let read = 0
  for (let start = 0; start < text.length;) {
    const found = text.indexOf(LINE_FEED, start)
    const end = found < 0 ? text.length : found
    const line = text.toString('utf8', start, end).trim()
    start = end + 1
    if (line === '') continue
    const sample = parsed(line)
    if (sample === undefined) bad++
    else {
      takeSample(sample, columns, context)
      read++
    }
  }
  if (read > 0 && bad > 0) context.rejected.add('not-json', bad)
  return read > 0
}

/** Undefined when it is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function takeSample(sample: unknown, columns: MetricColumns, context: DecodeContext): void {
  const fault = typeof sample === 'object' && sample !== null ? sampleFault(sample, columns, context) : 'not-a-sample'
  if (fault !== '') context.rejected.add(fault)
}

function sampleFault(sample: object, columns: MetricColumns, context: DecodeContext): string {
  const { timestamp, value, name, labels } = sample as Readonly<Record<string, unknown>>
  const timeMs = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN
  if (Number.isNaN(timeMs)) return 'bad-time'
  const late = timeFault(timeMs, context)
  if (late !== '') return late
  const number = numberOf(value)
  if (number === undefined) return 'bad-value'
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels)) return 'not-a-sample'
  const pairs: [string, string][] = typeof name === 'string' && name !== '' ? [['__name__', name]] : []
  for (const [label, text] of Object.entries(labels)) {
    if (typeof text !== 'string') return 'not-a-sample'
    // The adapter sends the name twice.
    if (label === '__name__' && pairs[0]?.[0] === '__name__') continue
    const fault = labelFault(pairs.length, label, text, context)
    if (fault !== '') return fault
    if (text !== '') pairs.push([label, text])
  }
  const entry = admitSeries(pairs, context)
  if (typeof entry === 'string') return entry
  columns.add(entry, timeMs, number, false)
  return ''
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  if (typeof value !== 'string') return undefined
  const text = value.trim().toLowerCase()
  if (text === 'nan') return Number.NaN
  const infinite = /^([+-]?)inf(?:inity)?$/.exec(text)
  if (infinite !== null) return infinite[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  const number = Number(text)
  return text === '' || Number.isNaN(number) ? undefined : number
}
