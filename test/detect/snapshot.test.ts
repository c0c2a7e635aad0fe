import { expect, test } from 'vitest'
import { PermanentError } from '../../src/errors.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'

test('what was written is read back, whatever it is', () => {
  const to = new SnapshotWriter(3)
  to.u8(255)
  to.u32(4_000_000_000)
  to.f32(0.5)
  to.f64(-Math.PI)
  to.f64(Number.NaN)
  const texts = ['', 'plain', 'größer ☃ 🚨', '__proto__', 'half a pair \ud83d', 'x'.repeat(5000)]
  for (const text of texts) to.string(text)
  to.column(new Uint8Array([1, 2]))
  to.column(new Uint16Array([1, 65535]))
  to.column(new Int32Array([-1, 7]))
  to.column(new Uint32Array([9]))
  to.column(new Float32Array([1.5, -2.25]))
  to.column(new Float64Array([1e300]).subarray(0, 1))
  to.column(new Float64Array(0))
  const from = new SnapshotReader(to.finish(), 'a test', 3)
  expect(from.version).toBe(3)
  expect([from.u8(), from.u32(), from.f32(), from.f64(), from.f64()]).toEqual([255, 4_000_000_000, 0.5, -Math.PI, Number.NaN])
  expect(texts.map(() => from.string())).toEqual(texts)
  expect(from.u8s()).toEqual(new Uint8Array([1, 2]))
  expect(from.u16s()).toEqual(new Uint16Array([1, 65535]))
  expect(from.i32s()).toEqual(new Int32Array([-1, 7]))
  expect(from.u32s()).toEqual(new Uint32Array([9]))
  expect(from.f32s()).toEqual(new Float32Array([1.5, -2.25]))
  expect(from.f64s()).toEqual(new Float64Array([1e300]))
  expect(from.f64s().length).toBe(0)
  from.end()
})

test('bytes inside a larger buffer at an odd offset are read as well', () => {
  const to = new SnapshotWriter(1)
  to.column(new Float64Array([1, 2, 3]))
  to.string('end')
  const bytes = to.finish()
  const larger = new Uint8Array(bytes.length + 7)
  larger.set(bytes, 3)
  const from = new SnapshotReader(larger.subarray(3, 3 + bytes.length), 'a test', 1)
  expect(from.f64s()).toEqual(new Float64Array([1, 2, 3]))
  expect(from.string()).toBe('end')
})

test('a newer version is refused by name', () => {
  expect(() => new SnapshotReader(new SnapshotWriter(9).finish(), 'the series detector', 2)).toThrow(
    /the series detector has version 9, this program reads 1 to 2/,
  )
})

test.each([
  ['nothing at all', new Uint8Array(0), (from: SnapshotReader) => from.u8()],
  ['an array that is said to be longer than everything', Uint8Array.of(1, 255, 255, 255, 255), (from: SnapshotReader) => from.f64s()],
  ['a string that is said to be longer than everything', Uint8Array.of(1, 255, 255, 255, 127), (from: SnapshotReader) => from.string()],
  ['a count of things that cannot fit', Uint8Array.of(1, 255, 255, 255, 255), (from: SnapshotReader) => from.count()],
  ['half a number', Uint8Array.of(1, 0, 0), (from: SnapshotReader) => from.f64()],
  ['bytes after the end', Uint8Array.of(1, 0, 0), (from: SnapshotReader) => from.end()],
])('%s is a PermanentError', (_, bytes, read) => {
  expect(() => read(new SnapshotReader(bytes, 'a test', 1))).toThrow(PermanentError)
})
