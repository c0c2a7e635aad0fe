/**
 * The elements of a snappy block, expanded by WebAssembly in one memory: the output from address 0, the input behind it. Whatever the
 * bytes, it writes less than `SLACK_BYTES` beyond the end of the output and reads less than that beyond the end of the input.
 * Format: https://github.com/google/snappy/blob/main/format_description.txt
 */
import { assemble } from './wasm-text.ts'

/** Left free behind the output, and behind the input. */
export const SLACK_BYTES = 64

/** How many bytes it wrote, or why it cannot: one of `EXPAND_FAULTS`, negative. */
export type Expand = (at: number, inEnd: number, outEnd: number) => number

export const EXPAND_FAULTS: ReadonlyMap<number, string> = new Map([
  [-1, 'a literal is cut off'],
  [-2, 'a copy is cut off'],
  [-3, 'a copy reaches back before its start'],
  [-4, 'it holds more bytes than it declares'],
])

/**
 * Most elements are shorter than what is copied for them at once, 16 bytes of a literal and 64 of a copy: what was too much is overwritten
 * by the next element. A copy may overlap what it writes, which is how runs are encoded: in steps of eight bytes that is right from an
 * offset of eight on. Lengths and offsets are unsigned, and one is subtracted from an offset so that 0 is too large.
 */
const module = assemble(`
  (func $expand (param $at i32) (param $inEnd i32) (param $outEnd i32) (result i32)
    (local $to i32) (local $from i32) (local $stop i32) (local $tag i32) (local $length i32) (local $offset i32) (local $extra i32)
    (loop $elements
      (if (i32.ge_u (local.get $at) (local.get $inEnd)) (then (return (local.get $to))))
      (local.set $tag (i32.load8_u (local.get $at)))
      (local.set $length (i32.add (i32.shr_u (local.get $tag) (i32.const 2)) (i32.const 1)))
      (if (i32.eqz (i32.and (local.get $tag) (i32.const 3)))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (if (i32.gt_u (local.get $length) (i32.const 60))
            (then ;; the length less one is in the next one to four bytes
              (local.set $extra (i32.sub (local.get $length) (i32.const 60)))
              (if (i32.gt_u (local.get $extra) (i32.sub (local.get $inEnd) (local.get $at))) (then (return (i32.const -1))))
              (local.set $length (i32.add (i32.const 1) (i32.and
                (i32.load (local.get $at))
                (i32.shr_u (i32.const -1) (i32.sub (i32.const 32) (i32.shl (local.get $extra) (i32.const 3)))))))
              (local.set $at (i32.add (local.get $at) (local.get $extra)))
              (if (i32.eqz (local.get $length)) (then (return (i32.const -1))))))
          (if (i32.gt_u (local.get $length) (i32.sub (local.get $inEnd) (local.get $at))) (then (return (i32.const -1))))
          (if (i32.gt_u (local.get $length) (i32.sub (local.get $outEnd) (local.get $to))) (then (return (i32.const -4))))
          (if (i32.gt_u (local.get $length) (i32.const 16))
            (then (memory.copy (local.get $to) (local.get $at) (local.get $length)))
            (else
              (i64.store (local.get $to) (i64.load (local.get $at)))
              (i64.store offset=8 (local.get $to) (i64.load offset=8 (local.get $at)))))
          (local.set $at (i32.add (local.get $at) (local.get $length)))
          (local.set $to (i32.add (local.get $to) (local.get $length)))
          (br $elements)))
      (if (i32.eq (i32.and (local.get $tag) (i32.const 3)) (i32.const 3))
        (then ;; an offset of four bytes
          (local.set $offset (i32.load offset=1 (local.get $at)))
          (local.set $at (i32.add (local.get $at) (i32.const 5))))
        (else ;; of two bytes, or of eleven bits beside a length of three: chosen without a branch, which would often be mispredicted
          (local.set $offset (select
            (i32.load16_u offset=1 (local.get $at))
            (i32.or (i32.shl (i32.and (local.get $tag) (i32.const 224)) (i32.const 3)) (i32.load8_u offset=1 (local.get $at)))
            (i32.and (local.get $tag) (i32.const 2))))
          (local.set $length (select
            (local.get $length)
            (i32.add (i32.and (i32.shr_u (local.get $tag) (i32.const 2)) (i32.const 7)) (i32.const 4))
            (i32.and (local.get $tag) (i32.const 2))))
          (local.set $at (i32.add (local.get $at) (i32.add (i32.and (local.get $tag) (i32.const 3)) (i32.const 1))))))
      (if (i32.gt_u (local.get $at) (local.get $inEnd)) (then (return (i32.const -2))))
      (if (i32.ge_u (i32.sub (local.get $offset) (i32.const 1)) (local.get $to)) (then (return (i32.const -3))))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $outEnd) (local.get $to))) (then (return (i32.const -4))))
      (local.set $from (i32.sub (local.get $to) (local.get $offset)))
      (local.set $stop (i32.add (local.get $to) (local.get $length)))
      (if (i32.lt_u (local.get $offset) (i32.const 8))
        (then
          (loop $bytes
            (i32.store8 (local.get $to) (i32.load8_u (local.get $from)))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (local.set $to (i32.add (local.get $to) (i32.const 1)))
            (br_if $bytes (i32.lt_u (local.get $to) (local.get $stop)))))
        (else
          (i64.store (local.get $to) (i64.load (local.get $from)))
          (i64.store offset=8 (local.get $to) (i64.load offset=8 (local.get $from)))
          (i64.store offset=16 (local.get $to) (i64.load offset=16 (local.get $from)))
          (i64.store offset=24 (local.get $to) (i64.load offset=24 (local.get $from)))
          (i64.store offset=32 (local.get $to) (i64.load offset=32 (local.get $from)))
          (i64.store offset=40 (local.get $to) (i64.load offset=40 (local.get $from)))
          (i64.store offset=48 (local.get $to) (i64.load offset=48 (local.get $from)))
          (i64.store offset=56 (local.get $to) (i64.load offset=56 (local.get $from)))))
      (local.set $to (local.get $stop))
      (br $elements))
    (i32.const 0))
`)

export function expanderOf(memory: WebAssembly.Memory): Expand {
  return new WebAssembly.Instance(module, { env: { memory } }).exports['expand'] as Expand
}
