/**
 * The three ids of each span as bytes, 32 a row: trace, span, parent. They become hex all at once at the end, because a call into the
 * runtime per id costs more than reading the rest of a span; each id is then a slice of that one text. Valid ids are 16 and 8 bytes, not
 * all zero: https://opentelemetry.io/docs/specs/otel/trace/api/#spancontext
 */

const ROW_BYTES = 32
const FIRST_ROWS = 256

export type IdFault = '' | 'bad-trace-id' | 'bad-span-id' | 'bad-parent-id'

export interface IdColumns {
  readonly traceId: string[]
  readonly spanId: string[]
  readonly parentId: string[]
}

export class SpanIds {
  #bytes = Buffer.alloc(FIRST_ROWS * ROW_BYTES)
  #view = viewOf(this.#bytes)
  /** Where the row that is being filled stands. */
  #at = 0
  #badParent = false

  /** Starts the row over: no ids. */
  begin(): void {
    const at = this.#at
    if (at === this.#bytes.length) this.#grow()
    for (let i = 0; i < ROW_BYTES; i += 8) this.#view.setFloat64(at + i, 0)
    this.#badParent = false
  }

  /** What is no 16 bytes long makes the row's trace id a bad one, as zeros do. */
  setTrace(from: DataView, fromAt: number, byteCount: number): void {
    const view = this.#view
    const at = this.#at
    if (byteCount !== 16) {
      view.setFloat64(at, 0)
      view.setFloat64(at + 8, 0)
      return
    }
    for (let i = 0; i < 16; i += 4) view.setUint32(at + i, from.getUint32(fromAt + i))
  }

  /** A trace id of 8 bytes is one of 16 that begins with zeros. */
  setShortTrace(from: DataView, fromAt: number): void {
    const view = this.#view
    const at = this.#at
    view.setFloat64(at, 0)
    view.setUint32(at + 8, from.getUint32(fromAt))
    view.setUint32(at + 12, from.getUint32(fromAt + 4))
  }

  setSpan(from: DataView, fromAt: number, byteCount: number): void {
    const view = this.#view
    const at = this.#at + 16
    view.setUint32(at, byteCount === 8 ? from.getUint32(fromAt) : 0)
    view.setUint32(at + 4, byteCount === 8 ? from.getUint32(fromAt + 4) : 0)
  }

  /** No bytes or zeros, however many, are no parent. */
  setParent(from: DataView, fromAt: number, byteCount: number): void {
    const view = this.#view
    const at = this.#at + 24
    view.setUint32(at, byteCount === 8 ? from.getUint32(fromAt) : 0)
    view.setUint32(at + 4, byteCount === 8 ? from.getUint32(fromAt + 4) : 0)
    this.#badParent = false
    if (byteCount !== 8) for (let i = 0; i < byteCount; i++) if (from.getUint8(fromAt + i) !== 0) this.#badParent = true
  }

  /** The row is the other end of the call whose id it has. */
  setParentToSpan(): void {
    this.#bytes.copyWithin(this.#at + 24, this.#at + 16, this.#at + 24)
    this.#badParent = false
  }

  /** Hex digits of any case. */
  setTraceHex(hex: string): void {
    this.#setHex(hex, this.#at, 16)
  }

  setSpanHex(hex: string): void {
    this.#setHex(hex, this.#at + 16, 8)
  }

  setParentHex(hex: string): void {
    const valid = this.#setHex(hex, this.#at + 24, 8)
    this.#badParent = !valid && !/^0*$/.test(hex)
  }

  /** What is wrong with the row, by the first id that is. */
  fault(): IdFault {
    const view = this.#view
    const at = this.#at
    if ((view.getInt32(at) | view.getInt32(at + 4) | view.getInt32(at + 8) | view.getInt32(at + 12)) === 0) return 'bad-trace-id'
    if ((view.getInt32(at + 16) | view.getInt32(at + 20)) === 0) return 'bad-span-id'
    return this.#badParent ? 'bad-parent-id' : ''
  }

  /** The row stays, the next one can be begun. */
  keep(): void {
    this.#at += ROW_BYTES
  }

  columns(): IdColumns {
    const view = this.#view
    const hex = this.#bytes.toString('hex', 0, this.#at)
    const [traceId, spanId, parentId]: [string[], string[], string[]] = [[], [], []]
    for (let at = 0; at < this.#at; at += ROW_BYTES) {
      const hexAt = at * 2
      // The spans of a trace often stand together: one text for all of them.
      traceId.push(at > 0 && sameTrace(view, at) ? traceId[traceId.length - 1]! : hex.slice(hexAt, hexAt + 32))
      spanId.push(hex.slice(hexAt + 32, hexAt + 48))
      parentId.push((view.getInt32(at + 24) | view.getInt32(at + 28)) === 0 ? '' : hex.slice(hexAt + 48, hexAt + 64))
    }
    return { traceId, spanId, parentId }
  }

  /** False, and zeros, when it is no such id. */
  #setHex(hex: string, at: number, byteCount: number): boolean {
    if (hex.length === byteCount * 2 && this.#bytes.write(hex, at, byteCount, 'hex') === byteCount) return true
    this.#bytes.fill(0, at, at + byteCount)
    return false
  }

  #grow(): void {
    const larger = Buffer.alloc(this.#bytes.length * 2)
    this.#bytes.copy(larger)
    this.#bytes = larger
    this.#view = viewOf(larger)
  }
}

function sameTrace(view: DataView, at: number): boolean {
  for (let i = 0; i < 16; i += 4) if (view.getInt32(at + i) !== view.getInt32(at + i - ROW_BYTES)) return false
  return true
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
