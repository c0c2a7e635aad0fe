/**
 * Decodes snappy blocks (not frames) into a buffer that it reuses, so the result is valid until the next call. The declared length is
 * checked before any memory is taken, against the limit and against what the input could expand to at all.
 * Format: https://github.com/google/snappy/blob/main/format_description.txt
 */
import { DecodeError } from '../errors.ts'

/** A three-byte copy element makes 64 bytes: no input can expand further. */
const MAX_EXPANSION = 22
/** Kept between calls; larger results are allocated for the call. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024
/** Most elements are short: 16 bytes are copied at once, and those that were too many are overwritten by the next element. */
const STRIDE_BYTES = 16
const SLACK_BYTES = STRIDE_BYTES

export class SnappyBlocks {
  #kept = new Uint8Array(64 * 1024)

  decode(input: Uint8Array, maxBytes: number): Uint8Array {
    let at = 0
    let declared = 0
    for (let shift = 0; ; shift += 7) {
      if (at >= input.length || shift > 28) throw corrupt('no length at its start')
      const byte = input[at++]!
      declared += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) break
    }
    if (declared > maxBytes) throw new DecodeError('too-large', `the snappy block declares ${declared} bytes, the limit is ${maxBytes}`)
    if (declared > input.length * MAX_EXPANSION) throw corrupt(`${input.length} bytes cannot expand to the declared ${declared}`)
    const out = this.#room(declared)
    const written = expand(input, at, out, declared)
    if (written !== declared) throw corrupt(`it holds ${written} bytes and declares ${declared}`)
    return out.subarray(0, declared)
  }

  #room(byteCount: number): Uint8Array {
    const needed = byteCount + SLACK_BYTES
    if (needed <= this.#kept.length) return this.#kept
    const fresh = new Uint8Array(Math.min(needed * 2, Math.max(needed, MAX_KEPT_BYTES)))
    if (fresh.length <= MAX_KEPT_BYTES) this.#kept = fresh
    return fresh
  }
}

function expand(input: Uint8Array, start: number, out: Uint8Array, outEnd: number): number {
  const inEnd = input.length
  const inView = new DataView(input.buffer, input.byteOffset, inEnd)
  const outView = new DataView(out.buffer, out.byteOffset, out.byteLength)
  let at = start
  let to = 0
  while (at < inEnd) {
    const tag = input[at++]!
    let length: number
    let offset: number
    switch (tag & 3) {
      case 0: {
        length = tag >>> 2
        if (length >= 60) {
          const extra = length - 59
          if (at + extra > inEnd) throw corrupt('a literal is cut off')
          length = 0
          for (let i = 0; i < extra; i++) length += input[at + i]! * 2 ** (8 * i)
          at += extra
        }
        length += 1
        if (length > inEnd - at || length > outEnd - to) throw corrupt('a literal is cut off')
        if (length <= STRIDE_BYTES && at + STRIDE_BYTES <= inEnd) {
          outView.setUint32(to, inView.getUint32(at, true), true)
          outView.setUint32(to + 4, inView.getUint32(at + 4, true), true)
          outView.setUint32(to + 8, inView.getUint32(at + 8, true), true)
          outView.setUint32(to + 12, inView.getUint32(at + 12, true), true)
        } else if (length < 48) {
          let i = 0
          for (; i < length && at + i + 4 <= inEnd; i += 4) outView.setUint32(to + i, inView.getUint32(at + i, true), true)
          for (; i < length; i++) out[to + i] = input[at + i]!
        } else out.set(input.subarray(at, at + length), to)
        at += length
        to += length
        continue
      }
      case 1:
        if (at + 1 > inEnd) throw corrupt('a copy is cut off')
        length = ((tag >>> 2) & 7) + 4
        offset = ((tag >>> 5) << 8) | input[at]!
        at += 1
        break
      case 2:
        if (at + 2 > inEnd) throw corrupt('a copy is cut off')
        length = (tag >>> 2) + 1
        offset = input[at]! | (input[at + 1]! << 8)
        at += 2
        break
      default:
        if (at + 4 > inEnd) throw corrupt('a copy is cut off')
        length = (tag >>> 2) + 1
        offset = (input[at]! | (input[at + 1]! << 8) | (input[at + 2]! << 16) | (input[at + 3]! << 24)) >>> 0
        at += 4
    }
    if (offset === 0 || offset > to) throw corrupt('a copy reaches back before its start')
    if (length > outEnd - to) throw corrupt('it holds more bytes than it declares')
    const stop = to + length
    if (offset >= 4) {
      let from = to - offset
      for (let i = to; i < stop; i += STRIDE_BYTES, from += STRIDE_BYTES) {
        outView.setUint32(i, outView.getUint32(from, true), true)
        outView.setUint32(i + 4, outView.getUint32(from + 4, true), true)
        outView.setUint32(i + 8, outView.getUint32(from + 8, true), true)
        outView.setUint32(i + 12, outView.getUint32(from + 12, true), true)
      }
    }
    // A copy may overlap what it writes, which is how runs are encoded: then byte by byte.
    else for (let i = to; i < stop; i++) out[i] = out[i - offset]!
    to = stop
  }
  return to
}

function corrupt(what: string): DecodeError {
  return new DecodeError('corrupt-snappy', `snappy: corrupt input: ${what}`)
}
