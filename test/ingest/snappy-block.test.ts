/** Snappy blocks, element by element: what the format allows is decoded, what it does not is refused, and memory stays what it is. */
import { compressSync } from 'snappy'
import { describe, expect, it } from 'vitest'
import { SnappyBlocks } from '../../src/ingest/wire/snappy-block.ts'
import { assemble } from '../../src/ingest/wire/wasm-text.ts'

type Element = readonly number[]

/** Lengths of literals in the tag itself, or in one to four bytes behind it. */
function literal(bytes: Uint8Array, lengthBytes = 0): Element {
  const length = bytes.length - 1
  if (lengthBytes === 0) return [length << 2, ...bytes]
  return [(59 + lengthBytes) << 2, ...Array.from({ length: lengthBytes }, (_, i) => (length >>> (8 * i)) & 0xff), ...bytes]
}
const copy1 = (length: number, offset: number): Element => [((offset >>> 8) << 5) | ((length - 4) << 2) | 1, offset & 0xff]
const copy2 = (length: number, offset: number): Element => [((length - 1) << 2) | 2, offset & 0xff, offset >>> 8]
const copy4 = (length: number, offset: number): Element => [
  ((length - 1) << 2) | 3,
  ...Array.from({ length: 4 }, (_, i) => (offset >>> (8 * i)) & 0xff),
]

function block(declared: number, ...elements: readonly Element[]): Uint8Array {
  const length: number[] = []
  let rest = declared
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) length.push((rest % 128) | 0x80)
  return Uint8Array.from([...length, rest, ...elements.flat()])
}

const text = (length: number) => Uint8Array.from({ length }, (_, i) => 33 + ((i * 7) % 90))
const decode = (bytes: Uint8Array, limit = 1e6) => Buffer.from(new SnappyBlocks().decode(bytes, limit)).toString()

/** What a copy means, said slowly. */
function copied(start: Uint8Array, length: number, offset: number): string {
  const out = [...start]
  for (let i = 0; i < length; i++) out.push(out[out.length - offset]!)
  return Buffer.from(out).toString()
}

describe('a snappy block', () => {
  it.each([1, 2, 3, 4])('has literals whose length takes %i bytes more', (lengthBytes) => {
    for (const length of [1, 15, 16, 17, 60, 61, 200])
      expect(decode(block(length, literal(text(length), lengthBytes)))).toBe(Buffer.from(text(length)).toString())
  })

  it('copies from any distance, over itself where the distance is shorter than the length', () => {
    const start = text(70)
    for (let offset = 1; offset <= 70; offset++) {
      for (const length of [1, 3, 4, 7, 8, 9, 11, 16, 17, 31, 33, 63, 64]) {
        const expected = copied(start, length, offset)
        for (const copy of length >= 4 && length <= 11 ? [copy1, copy2, copy4] : [copy2, copy4]) {
          expect(decode(block(70 + length, literal(start, 1), copy(length, offset)))).toBe(expected)
        }
      }
    }
  })

  it('copies from further back than two bytes can say', () => {
    const start = text(80_000)
    expect(decode(block(80_020, literal(start, 3), copy4(20, 70_000)))).toBe(copied(start, 20, 70_000))
    expect(decode(block(80_011, literal(start, 3), copy1(11, 2047)))).toBe(copied(start, 11, 2047))
    expect(decode(block(80_064, literal(start, 3), copy2(64, 65_535)))).toBe(copied(start, 64, 65_535))
  })

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(), /no length at its start/],
    ['a length without an end', Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), /no length at its start/],
    ['more than is allowed', block(2e6, literal(text(50))), /declares 2000000 bytes, the limit is 1000000/],
    ['more than could be in it', block(5000, literal(text(50))), /52 bytes|53 bytes/],
    ['a literal that ends early', block(20, literal(text(20)).slice(0, -1)), /a literal is cut off/],
    ['a length of a literal that ends early', Uint8Array.from([20, 63 << 2, 1, 0]), /a literal is cut off/],
    ['a literal of 4 GB', Uint8Array.from([20, 63 << 2, 0xff, 0xff, 0xff, 0xff, 1, 2]), /a literal is cut off/],
    ['a literal longer than declared', block(5, literal(text(6))), /more bytes than it declares/],
    ['a copy that ends early', block(8, literal(text(4)), copy2(4, 4).slice(0, -1)), /a copy is cut off/],
    ['a long copy that ends early', block(8, literal(text(4)), copy4(4, 4).slice(0, -2)), /a copy is cut off/],
    ['a copy of nothing before it', block(8, copy1(8, 1)), /reaches back/],
    ['a copy with the offset 0', block(8, literal(text(4)), copy2(4, 0)), /reaches back/],
    ['a copy from before its start', block(8, literal(text(4)), copy2(4, 5)), /reaches back/],
    ['a copy from 4 GB before', block(8, literal(text(4)), copy4(4, 0xffffffff)), /reaches back/],
    ['a copy longer than declared', block(8, literal(text(4)), copy2(64, 4)), /more bytes than it declares/],
    ['less than it declares', block(9, literal(text(4)), copy2(4, 4)), /holds 8 bytes and declares 9/],
  ])('is refused with %s', (_name, bytes, message) => {
    const blocks = new SnappyBlocks()
    expect(() => blocks.decode(bytes, 1e6)).toThrow(message)
    // And the next one is decoded as ever.
    expect(Buffer.from(blocks.decode(block(4, literal(text(4))), 10)).toString()).toBe(Buffer.from(text(4)).toString())
  })

  it('never shows what a block before it held', () => {
    const blocks = new SnappyBlocks()
    const secret = Buffer.alloc(4096, 'secret')
    blocks.decode(compressSync(secret), 1e6)
    const out = Buffer.from(blocks.decode(compressSync(Buffer.alloc(4000, 'open')), 1e6))
    expect(out.includes('secret')).toBe(false)
    expect(() => blocks.decode(block(4000, literal(text(200), 1)), 1e6)).toThrow(/holds 200 bytes and declares 4000/)
  })

  it('is decoded into the memory of the one before it, and a very large one into its own', () => {
    const blocks = new SnappyBlocks()
    const memoryOf = (length: number) => blocks.decode(compressSync(Buffer.alloc(length, 'abc')), 5e7).buffer
    const grown = memoryOf(3_000_000)
    expect(memoryOf(1000)).toBe(grown)
    expect(memoryOf(3_000_000)).toBe(grown)
    const large = memoryOf(20_000_000)
    expect(large).not.toBe(grown)
    expect(memoryOf(1000)).toBe(grown)
  })
})

describe('the assembler', () => {
  it('makes functions that run', () => {
    const module = assemble(`
      (func $sum (param $from i32) (param $to i32) (result i32)
        (local $sum i32)
        (block $done
          (loop $next
            (br_if $done (i32.ge_u (local.get $from) (local.get $to)))
            (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $from))))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (br $next)))
        (i32.add (local.get $sum) (i32.const -1000000))) ;; a constant of several bytes
    `)
    const memory = new WebAssembly.Memory({ initial: 1 })
    new Uint8Array(memory.buffer).set([1, 2, 3, 4, 250])
    const { sum } = new WebAssembly.Instance(module, { env: { memory } }).exports as Record<string, (from: number, to: number) => number>
    expect(sum!(1, 5)).toBe(259 - 1_000_000)
  })

  it.each([
    ['(func $f (result i32) (f64.const 1))', 'f64.const'],
    ['(func $f (result i32) (local.get $x))', '$x'],
    ['(func $f (result i32) (br $nowhere))', '$nowhere'],
  ])('says what it does not know: %s', (wat, what) => {
    expect(() => assemble(wat)).toThrow(what)
  })
})
