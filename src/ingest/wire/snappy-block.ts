/**
 * Decodes snappy blocks (not frames) in memory that it reuses, so the result is valid until the next call. The declared length is
 * checked before any memory is taken, against the limit and against what the input could expand to at all.
 * Format: https://github.com/google/snappy/blob/main/format_description.txt
 */
import { DecodeError } from '../../errors.ts'
import { EXPAND_FAULTS, SLACK_BYTES, expanderOf } from './snappy-expand.ts'
import type { Expand } from './snappy-expand.ts'

/** A three-byte copy element makes 64 bytes: no input can expand further. */
const MAX_EXPANSION = 22
/** Kept between calls, input and output together; more is taken for the call. */
const MAX_KEPT_BYTES = 8 * 1024 * 1024
const PAGE_BYTES = 65_536

export class SnappyBlocks {
  #kept = new Room(2)

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
    const inStart = declared + SLACK_BYTES
    const room = this.#roomFor(inStart + input.length + SLACK_BYTES)
    room.bytes.set(input, inStart)
    const written = room.expand(inStart + at, inStart + input.length, declared)
    if (written !== declared) throw corrupt(EXPAND_FAULTS.get(written) ?? `it holds ${written} bytes and declares ${declared}`)
    return room.bytes.subarray(0, declared)
  }

  #roomFor(byteCount: number): Room {
    if (byteCount <= this.#kept.bytes.length) return this.#kept
    const fresh = new Room(Math.ceil(Math.max(byteCount, Math.min(byteCount * 2, MAX_KEPT_BYTES)) / PAGE_BYTES))
    if (fresh.bytes.length <= MAX_KEPT_BYTES) this.#kept = fresh
    return fresh
  }
}

/** Memory that is replaced instead of grown: growing would detach what was read from it, and slow every typed array of the process down. */
class Room {
  readonly bytes: Uint8Array
  readonly expand: Expand

  constructor(pages: number) {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
    this.bytes = new Uint8Array(memory.buffer)
    this.expand = expanderOf(memory)
  }
}

function corrupt(what: string): DecodeError {
  return new DecodeError('corrupt-snappy', `snappy: corrupt input: ${what}`)
}
