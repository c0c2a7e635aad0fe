/**
 * What one trace says, added to the sums of a window. Parents and children meet by id. A call whose other end sent a span is an edge
 * between the two; a call without one is charged to what it called: to the service known to answer at that address, else to a callee
 * inferred from the address. An error starts at a failed span none of whose children failed.
 */
import { SpanKind, SpanStatus } from '../../model.ts'
import type { FlowWindow } from './flow-window.ts'

export interface LinkSpan {
  readonly service: string
  readonly spanId: string
  readonly parentId: string
  readonly kind: number
  readonly status: number
  readonly startMs: number
  readonly durationMs: number
  /** What a client or producer span calls, '' when it does not say. */
  readonly peer: string
}

/** What is known of a span's children. */
const FAILED_CHILD = 1
/** A span of the other end of the call. */
const REMOTE_CHILD = 2
/** A call made in order to make this call: only the innermost is one along an edge. */
const CALL_CHILD = 4
/** An answer of the other end has been counted: a second one does not make the call itself count twice. */
const ANSWERED = 8

/** By id, the span that children belong to; where both ends of a call share an id (Zipkin, B3), the one that answers. */
const index = new Map<string, number>()
/** Of shared ids, the end that calls. */
const callers = new Map<string, number>()

/**
 * Adds to `window`; learns addresses into `peers` (at most `maxPeers`, the oldest go first). With `isRest` parts of the trace were joined
 * before: where errors started and time was spent cannot be told then. Returns how many spans were repetitions, which are left out.
 */
export function joinTrace(spans: LinkSpan[], isRest: boolean, peers: Map<string, string>, maxPeers: number, window: FlowWindow): number {
  const repeated = indexSpans(spans)
  const count = spans.length
  const parents = new Int32Array(count)
  const firstChild = new Int32Array(count).fill(-1)
  const nextSibling = new Int32Array(count).fill(-1)
  const children = new Uint8Array(count)
  // Backwards, so that the lists of children run in the order the spans came in.
  for (let i = count - 1; i >= 0; i--) {
    const span = spans[i]!
    // The answering end of a call with a shared id names that id as its parent.
    const among = span.parentId === span.spanId ? callers : index
    let parent = span.parentId === '' ? -1 : (among.get(span.parentId) ?? -1)
    if (parent === i) parent = -1
    parents[i] = parent
    if (parent < 0) continue
    nextSibling[i] = firstChild[parent]!
    firstChild[parent] = i
    if (span.status === SpanStatus.error) children[parent]! |= FAILED_CHILD
    if (isEntry(span.kind) || span.service !== spans[parent]!.service) children[parent]! |= REMOTE_CHILD
    else if (isCall(span.kind)) children[parent]! |= CALL_CHILD
  }
  index.clear()
  callers.clear()
  for (let i = 0; i < count; i++) {
    const span = spans[i]!
    const known = children[i]!
    const failed = span.status === SpanStatus.error
    const selfMs = isRest ? 0 : Math.max(0, span.durationMs - coveredMs(spans, i, firstChild, nextSibling))
    const startsHere = failed && !isRest && (known & FAILED_CHILD) === 0
    const parent = parents[i]!
    if (parent >= 0 && (isEntry(span.kind) || span.service !== spans[parent]!.service)) {
      addEdge(spans[parent]!, span, (children[parent]! & ANSWERED) === 0, peers, maxPeers, window)
      children[parent]! |= ANSWERED
    }
    const own = window.service(span.service)
    if (isEntry(span.kind) || span.parentId === '') {
      own.requests++
      own.durationMs += span.durationMs
      if (failed) own.errors++
    }
    if (isCall(span.kind) && (known & REMOTE_CHILD) !== 0) {
      // What the other end does not cover is the way there and back: the edge's clientMs less its serverMs, nobody's own time.
      if (startsHere) own.errorsStarted++
    } else if (isCall(span.kind) && span.peer !== '' && (known & CALL_CHILD) === 0 && !isRest) {
      const service = peers.get(span.peer)
      const callee = service ?? span.peer
      const other = window.service(callee)
      other.requests++
      other.durationMs += span.durationMs
      other.selfMs += selfMs
      if (failed) other.errors++
      if (startsHere) other.errorsStarted++
      const call = window.call(span.service, callee, service === undefined)
      call.calls++
      call.clientMs += span.durationMs
      if (failed) call.errors++
    } else {
      own.selfMs += selfMs
      if (startsHere) own.errorsStarted++
    }
  }
  return repeated
}

/** Fills `index`, takes repetitions out of `spans`, returns their number. */
function indexSpans(spans: LinkSpan[]): number {
  index.clear()
  callers.clear()
  let kept = 0
  for (let i = 0; i < spans.length; i++) {
    const span = spans[i]!
    const earlier = index.get(span.spanId)
    if (earlier === undefined) index.set(span.spanId, kept)
    else {
      const caller = callers.get(span.spanId)
      if (isSame(span, spans[earlier]!) || (caller !== undefined && isSame(span, spans[caller]!))) continue
      if (caller === undefined) {
        const isAnswer = isEntry(span.kind) && !isEntry(spans[earlier]!.kind)
        index.set(span.spanId, isAnswer ? kept : earlier)
        callers.set(span.spanId, isAnswer ? earlier : kept)
      }
    }
    spans[kept++] = span
  }
  const repeated = spans.length - kept
  spans.length = kept
  return repeated
}

/** The same end of the same call, sent again. */
function isSame(one: LinkSpan, other: LinkSpan): boolean {
  return one.kind === other.kind && one.service === other.service
}

function addEdge(
  parent: LinkSpan,
  child: LinkSpan,
  isFirst: boolean,
  peers: Map<string, string>,
  maxPeers: number,
  window: FlowWindow,
): void {
  const isAnswered = parent.kind === SpanKind.client
  if (isAnswered && parent.peer !== '' && child.kind === SpanKind.server && peers.get(parent.peer) !== child.service) {
    if (peers.size >= maxPeers && !peers.has(parent.peer)) for (const oldest of peers.keys()) if (peers.delete(oldest)) break
    peers.set(parent.peer, child.service)
  }
  if (parent.service === child.service) return
  const call = window.call(parent.service, child.service, false)
  call.calls++
  if (child.status === SpanStatus.error || (isAnswered && isFirst && parent.status === SpanStatus.error)) call.errors++
  // A message is not waited for: the time between sending and handling it is no network time.
  if (parent.kind === SpanKind.producer || child.kind === SpanKind.consumer) return
  call.clientMs += isAnswered && isFirst ? parent.durationMs : child.durationMs
  call.serverMs += child.durationMs
}

/** Milliseconds of a span during which at least one child runs. */
function coveredMs(spans: readonly LinkSpan[], at: number, firstChild: Int32Array, nextSibling: Int32Array): number {
  const first = firstChild[at]!
  if (first < 0) return 0
  const from = spans[at]!.startMs
  const to = from + spans[at]!.durationMs
  if (nextSibling[first]! < 0) return overlapMs(spans[first]!, from, to)
  const children: LinkSpan[] = []
  for (let child = first; child >= 0; child = nextSibling[child]!) children.push(spans[child]!)
  children.sort(byStart)
  let covered = 0
  let reachedMs = from
  for (const child of children) {
    const endMs = Math.min(to, child.startMs + child.durationMs)
    const startMs = Math.max(reachedMs, child.startMs)
    if (endMs > startMs) covered += endMs - startMs
    reachedMs = Math.max(reachedMs, endMs)
  }
  return covered
}

function overlapMs(span: LinkSpan, fromMs: number, toMs: number): number {
  return Math.max(0, Math.min(toMs, span.startMs + span.durationMs) - Math.max(fromMs, span.startMs))
}

function byStart(x: LinkSpan, y: LinkSpan): number {
  return x.startMs - y.startMs
}

function isCall(kind: number): boolean {
  return kind === SpanKind.client || kind === SpanKind.producer
}

function isEntry(kind: number): boolean {
  return kind === SpanKind.server || kind === SpanKind.consumer
}
