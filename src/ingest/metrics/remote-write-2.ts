/**
 * Prometheus remote write 2.0, decompressed, into a metric batch: labels are references into a table of symbols that each request brings
 * along, before or after its series. Texts that are used as labels get numbers that last, so that a series seen before is found by
 * them without decoding any. Spec: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/
 */
import { DecodeError } from '../../errors.ts'
import { MetricColumns } from '../columns.ts'
import type { DecodeContext } from '../decode-context.ts'
import { typeOfMetadata } from './family-types.ts'
import { admitSeries, labelFault } from './metric-series.ts'
import { ProtobufReader } from '../wire/protobuf-reader.ts'
import { RemoteWriteSeries } from './remote-write-series.ts'
import type { RemoteWriteBatch } from './remote-write-series.ts'
import { SymbolTable } from './remote-write-symbols.ts'
import type { CommonSymbols } from './remote-write-symbols.ts'
import type { SeriesEntry } from './series-registry.ts'

const SYMBOL = 0x22
const TIME_SERIES = 0x2a
/** Fields 1 and 3 are reserved so that a message of 1.0 shows; `promtool push metrics` sends one under the name of 2.0. */
const VERSION_1_SERIES = 0x0a
const VERSION_1_METADATA = 0x1a
const LABEL_REFS = 0x0a
const LABEL_REF = 0x08
const SAMPLE = 0x12
const HISTOGRAM = 0x1a
const EXEMPLAR = 0x22
const METADATA = 0x2a
/** Until 2.0-rc.3; later ones have it in each sample: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#protobuf-message */
const CREATED_TIMESTAMP = 0x30

export function decodeRemoteWrite2(body: Uint8Array, context: DecodeContext, common?: CommonSymbols): RemoteWriteBatch {
  return new Decoder(body, context, common).decode()
}

/** No label block of 1.0 begins with this byte, so that the two never look alike. */
const REFS_MARK = 0xffffffff

class Decoder {
  readonly #reader: ProtobufReader
  readonly #context: DecodeContext
  readonly #common: CommonSymbols | undefined
  readonly #series: RemoteWriteSeries
  readonly #symbols: SymbolTable
  /** The references of one series, behind them their lasting numbers with the mark in front. */
  readonly #references: Uint32Array
  readonly #numbers: Uint32Array
  readonly #numbersView: DataView
  #refCount = 0

  constructor(body: Uint8Array, context: DecodeContext, common: CommonSymbols | undefined) {
    this.#reader = new ProtobufReader(body)
    this.#context = context
    this.#common = common
    this.#series = new RemoteWriteSeries(this.#reader, new MetricColumns(context), context)
    this.#symbols = new SymbolTable(this.#reader, context, common)
    const mostRefs = 2 * context.limits.maxLabels + 2
    this.#references = new Uint32Array(mostRefs)
    this.#numbers = new Uint32Array(mostRefs + 1)
    this.#numbers[0] = REFS_MARK
    this.#numbersView = new DataView(this.#numbers.buffer)
  }

  decode(): RemoteWriteBatch {
    const reader = this.#reader
    this.#context.series.symbols.makeRoom()
    let firstSeries = reader.end
    for (let at = 0, tag = reader.next(); tag !== 0; at = reader.at, tag = reader.next()) {
      if (tag === SYMBOL) this.#symbols.add()
      else {
        if (tag === TIME_SERIES && at < firstSeries) firstSeries = at
        else if (this.#common === undefined && (tag === VERSION_1_SERIES || tag === VERSION_1_METADATA)) throw mixedUp()
        reader.skip(tag)
      }
    }
    if (this.#common === undefined) this.#symbols.expectEmptyFirst()
    reader.at = firstSeries
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag !== TIME_SERIES) {
        reader.skip(tag)
        continue
      }
      const outer = reader.enter()
      this.#timeSeries()
      reader.leave(outer)
    }
    this.#symbols.release()
    return this.#series.finish()
  }

  #timeSeries(): void {
    const reader = this.#reader
    const series = this.#series
    const start = reader.at
    let type = 0
    this.#refCount = 0
    series.begin()
    let known = this.#expected()
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      switch (tag) {
        case LABEL_REFS:
        case LABEL_REF:
          // References may come in several parts.
          if (known !== undefined) this.#refsAt(start)
          known = undefined
          this.#refs(tag)
          break
        case SAMPLE:
          series.readSample()
          break
        case HISTOGRAM:
          series.histograms++
          reader.skip(tag)
          break
        case EXEMPLAR:
          this.#exemplar()
          break
        case METADATA:
          type = this.#metadataType()
          break
        case CREATED_TIMESTAMP:
          series.startTime(reader.int64())
          break
        default:
          reader.skip(tag)
      }
    }
    if (series.samples + series.histograms === 0) {
      if (known !== undefined) this.#refsAt(start)
      // Prometheus sends exemplars in a TimeSeries of their own, and its receiver answers 400: https://github.com/prometheus/prometheus/issues/17857
      if (series.exemplars > 0) series.takeExemplars()
      else if (this.#common === undefined) this.#context.rejected.add('empty-series')
      if (this.#common !== undefined) this.#learn(type)
      return
    }
    const entry = known ?? this.#entry()
    if (typeof entry === 'string') {
      series.reject(entry)
      return
    }
    const told = typeOfMetadata(type)
    if (told !== 'unknown') this.#context.series.setType(entry, told)
    series.take(entry, start, HISTOGRAM)
  }

  /** The series that came next last time, if the references that begin here are its own: they need not be read one by one. */
  #expected(): SeriesEntry | undefined {
    const reader = this.#reader
    const { bytes, at } = reader
    const expected = this.#context.series.next()
    if (expected === undefined || expected.words[expected.first] !== REFS_MARK || bytes[at] !== LABEL_REFS) return undefined
    const start = at + 2
    const end = start + bytes[at + 1]!
    // Lengths of two bytes are those of more than sixty labels.
    if (bytes[at + 1]! >= 0x80 || end > reader.end || !this.#symbols.areNumbers(expected, start, end)) return undefined
    reader.at = end
    return this.#context.series.follow(expected)
  }

  /** The references of the field that begins here. */
  #refsAt(start: number): void {
    const reader = this.#reader
    const { at } = reader
    reader.at = start
    this.#refs(reader.next())
    reader.at = at
  }

  #refs(tag: number): void {
    const reader = this.#reader
    if (tag === LABEL_REF) {
      this.#ref(reader.uint32())
      return
    }
    const outer = reader.enter()
    while (reader.at < reader.end) this.#ref(reader.uint32())
    reader.leave(outer)
  }

  #ref(ref: number): void {
    if (this.#refCount < this.#references.length) this.#references[this.#refCount] = ref
    this.#refCount++
  }

  #entry(): SeriesEntry | string {
    const count = this.#refCount
    if (count > this.#references.length) return 'too-many-labels'
    if (count % 2 !== 0) return 'odd-label-refs'
    const { series } = this.#context
    const refs = this.#references
    const numbers = this.#numbers
    let numbered = true
    for (let i = 0; i < count; i++) {
      const number = this.#symbols.numberOf(refs[i]!)
      if (number < 0) return 'label-ref-out-of-range'
      if (number === 0) numbered = false
      numbers[i + 1] = number
    }
    const end = 4 * (count + 1)
    const known = numbered ? series.find(this.#numbersView, 0, end) : undefined
    if (known !== undefined) return known
    const entry = this.#newEntry()
    if (numbered && typeof entry !== 'string') series.remember(entry, this.#numbersView, 0, end)
    return entry
  }

  #newEntry(): SeriesEntry | string {
    const labels: [string, string][] = []
    const { maxLabelNameChars, maxLabelValueChars } = this.#context.limits
    for (let i = 0; i < this.#refCount; i += 2) {
      // Before they are made: one long symbol may be referred to by every series.
      if (this.#symbols.isLonger(this.#references[i]!, maxLabelNameChars)) return 'label-name-too-long'
      if (this.#symbols.isLonger(this.#references[i + 1]!, maxLabelValueChars)) return 'label-value-too-long'
      const name = this.#symbols.textOf(this.#references[i]!)
      const value = this.#symbols.textOf(this.#references[i + 1]!)
      const fault = labelFault(labels.length, name, value, this.#context)
      if (fault !== '') return fault
      if (value !== '') labels.push([name, value])
    }
    return admitSeries(labels, this.#context)
  }

  /** {1: label references, 2: value, 3: milliseconds}: what it refers to must be there. */
  #exemplar(): void {
    const reader = this.#reader
    const outer = reader.enter()
    let refs = 0
    let fault = ''
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag === LABEL_REFS) {
        const message = reader.enter()
        for (; reader.at < reader.end; refs++) if (!this.#symbols.has(reader.uint32())) fault = 'exemplar-ref-out-of-range'
        reader.leave(message)
      } else if (tag === LABEL_REF) {
        if (!this.#symbols.has(reader.uint32())) fault = 'exemplar-ref-out-of-range'
        refs++
      } else reader.skip(tag)
    }
    reader.leave(outer)
    if (refs % 2 !== 0) fault = 'exemplar-odd-refs'
    if (fault === '') this.#series.exemplars++
    else this.#context.rejected.add(fault)
  }

  #metadataType(): number {
    const reader = this.#reader
    const outer = reader.enter()
    let type = 0
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag === 0x08) type = reader.uint32()
      else reader.skip(tag)
    }
    reader.leave(outer)
    return type
  }

  /** A series without samples that says what its family is. */
  #learn(type: number): void {
    if (this.#refCount !== 2) return
    const [name, value] = [this.#references[0]!, this.#references[1]!]
    if (!this.#symbols.has(name) || !this.#symbols.has(value) || this.#symbols.textOf(name) !== '__name__') return
    if (!this.#context.series.families.learn(this.#symbols.textOf(value), typeOfMetadata(type))) this.#context.skipped.add('metadata')
  }
}

function mixedUp(): DecodeError {
  return new DecodeError('malformed', 'the request says that it is remote write 2.0 and holds a message of 1.0: have it sent as 1.0')
}
