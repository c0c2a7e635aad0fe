/**
 * Joins the spans of each trace and says, per window, what passed between services: who called whom, where errors started, where time
 * was spent. A trace waits for its spans for a bounded time and in a bounded number; when it is joined it is counted whole in the window
 * of its last end. One `flow` finding per window that saw a trace, in a fixed order. What did not fit is counted, never kept.
 */
import type { SpanBatch } from '../../model.ts'
import type { Emit } from '../detector.ts'
import { FlowWindow } from './flow-window.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import type { SpansConfig } from './spans-config.ts'
import { joinTrace } from './trace-join.ts'
import type { LinkSpan } from './trace-join.ts'
import { Windows } from '../windows.ts'

interface OpenTrace {
  /** By the clock of the ticks; -Infinity before the first. */
  firstMs: number
  lastMs: number
  /** Spans of this trace were joined before: what is missing here may have been there. */
  readonly isRest: boolean
  readonly spans: LinkSpan[]
}

export class TraceJoiner {
  /** Spans that came after their trace had been joined. */
  lateSpans = 0
  /** Spans without a trace id, and those over `maxSpansPerTrace`. */
  ignoredSpans = 0
  /** Traces joined before their time because too many were open. */
  hurriedTraces = 0
  /** Spans that came twice, as exporters do that were not answered. */
  repeatedSpans = 0
  readonly #config: SpansConfig
  readonly #partition: number
  readonly #open = new Map<string, OpenTrace>()
  #openSpans = 0
  /** Hashes of traces joined lately, in two generations. */
  #recent = new Set<number>()
  #before = new Set<number>()
  /** Which service answers at an address, as joined calls have shown. */
  readonly #peers = new Map<string, string>()
  readonly #windows: Windows<FlowWindow>

  constructor(config: SpansConfig, partition: number) {
    this.#config = config
    this.#partition = partition
    this.#windows = new Windows(config.windowMs, config.latenessMs + config.traceWaitMs, newWindow)
  }

  /** Which service answers at this address, as far as joined calls have shown. */
  serviceAt(peer: string): string | undefined {
    return this.#peers.get(peer)
  }

  add(batch: SpanBatch): void {
    const { rows, sources, sourceIndex, spanKind, status, startMs, durationMs, traceId, spanId, parentId, peer } = batch
    const nowMs = this.#windows.nowMs
    for (let row = 0; row < rows; row++) {
      const id = traceId[row]!
      let trace = this.#open.get(id)
      if (trace === undefined) {
        if (id === '') {
          this.ignoredSpans++
          continue
        }
        const hash = hashOf(id)
        const isRest = this.#recent.has(hash) || this.#before.has(hash)
        if (this.#open.size >= this.#config.maxOpenTraces) this.#hurry()
        this.#open.set(id, (trace = { firstMs: nowMs, lastMs: nowMs, isRest, spans: [] }))
      }
      if (trace.isRest) this.lateSpans++
      if (trace.spans.length >= this.#config.maxSpansPerTrace) {
        this.ignoredSpans++
        continue
      }
      if (this.#openSpans >= this.#config.maxOpenSpans && this.#open.size > 1) this.#hurryBut(id)
      trace.lastMs = nowMs
      const ms = durationMs[row]!
      trace.spans.push({
        service: sources[sourceIndex[row]!]!.service,
        spanId: spanId[row]!,
        parentId: parentId[row]!,
        kind: spanKind[row]!,
        status: status[row]!,
        startMs: startMs[row]!,
        durationMs: ms > 0 ? ms : 0,
        peer: peer[row]!,
      })
      this.#openSpans++
    }
  }

  tick(nowMs: number, emit: Emit): void {
    const { traceWaitMs, traceMaxWaitMs, windowMs } = this.#config
    for (const [id, trace] of this.#open) {
      if (trace.firstMs === -Infinity) trace.firstMs = nowMs
      if (trace.lastMs === -Infinity) trace.lastMs = nowMs
      if (nowMs - trace.lastMs >= traceWaitMs || nowMs - trace.firstMs >= traceMaxWaitMs) this.#join(id, trace)
    }
    this.#windows.tick(nowMs, (startMs, window) => {
      if (window !== undefined) emit(window.flow(this.#partition, startMs, startMs + windowMs))
    })
  }

  snapshot(to: SnapshotWriter): void {
    for (const value of [this.lateSpans, this.ignoredSpans, this.hurriedTraces, this.repeatedSpans]) to.f64(value)
    to.u32(this.#open.size)
    for (const [id, trace] of this.#open) {
      to.string(id)
      to.f64(trace.firstMs)
      to.f64(trace.lastMs)
      to.u8(trace.isRest ? 1 : 0)
      to.u32(trace.spans.length)
      for (const span of trace.spans) writeSpan(to, span)
    }
    to.column(Float64Array.from(this.#recent))
    to.column(Float64Array.from(this.#before))
    to.u32(this.#peers.size)
    for (const [peer, service] of this.#peers) {
      to.string(peer)
      to.string(service)
    }
    this.#windows.snapshot(to, writeWindow)
  }

  restore(from: SnapshotReader): void {
    this.lateSpans = from.f64()
    this.ignoredSpans = from.f64()
    this.hurriedTraces = from.f64()
    this.repeatedSpans = from.f64()
    this.#open.clear()
    this.#openSpans = 0
    for (let left = from.count(25); left > 0; left--) {
      const id = from.string()
      const trace: OpenTrace = { firstMs: from.f64(), lastMs: from.f64(), isRest: from.u8() === 1, spans: [] }
      for (let more = from.count(34); more > 0; more--) trace.spans.push(readSpan(from))
      this.#openSpans += trace.spans.length
      this.#open.set(id, trace)
    }
    this.#recent = new Set(from.f64s())
    this.#before = new Set(from.f64s())
    this.#peers.clear()
    for (let left = from.count(8); left > 0; left--) this.#peers.set(from.string(), from.string())
    this.#windows.restore(from, FlowWindow.restore)
  }

  #join(id: string, trace: OpenTrace): void {
    this.#open.delete(id)
    this.#openSpans -= trace.spans.length
    if (this.#recent.size >= this.#config.maxOpenTraces) {
      this.#before = this.#recent
      this.#recent = new Set()
    }
    this.#recent.add(hashOf(id))
    let endMs = -Infinity
    for (const span of trace.spans) endMs = Math.max(endMs, span.startMs + span.durationMs)
    this.repeatedSpans += joinTrace(trace.spans, trace.isRest, this.#peers, this.#config.maxPeers, this.#windows.at(endMs))
  }

  #hurry(): void {
    for (const [id, trace] of this.#open) {
      this.hurriedTraces++
      this.#join(id, trace)
      return
    }
  }

  /** The oldest trace but the one that is being added to. */
  #hurryBut(kept: string): void {
    for (const [id, trace] of this.#open) {
      if (id === kept) continue
      this.hurriedTraces++
      this.#join(id, trace)
      return
    }
  }
}

function newWindow(): FlowWindow {
  return new FlowWindow()
}

function writeWindow(to: SnapshotWriter, window: FlowWindow): void {
  window.snapshot(to)
}

function writeSpan(to: SnapshotWriter, span: LinkSpan): void {
  to.string(span.service)
  to.string(span.spanId)
  to.string(span.parentId)
  to.u8(span.kind)
  to.u8(span.status)
  to.f64(span.startMs)
  to.f64(span.durationMs)
  to.string(span.peer)
}

function readSpan(from: SnapshotReader): LinkSpan {
  return {
    service: from.string(),
    spanId: from.string(),
    parentId: from.string(),
    kind: from.u8(),
    status: from.u8(),
    startMs: from.f64(),
    durationMs: from.f64(),
    peer: from.string(),
  }
}

/** 52 bits of an id that may be any text. A collision counts a span as late: harmless. */
function hashOf(text: string): number {
  let a = 0x811c9dc5 | 0
  let b = 0x1b873593 | 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    a = Math.imul(a ^ c, 0x01000193)
    b = Math.imul(b ^ c, 0x85ebca6b) ^ (b >>> 15)
  }
  return (a >>> 0) * 0x100000 + (b >>> 12)
}
