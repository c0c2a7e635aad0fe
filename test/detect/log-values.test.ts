import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { numbersOf } from '../../src/detect/logs/log-values.ts'

function read(line: string, room = 16): number[] {
  const out = new Float64Array(room)
  return [...out.subarray(0, numbersOf(line, out))]
}

describe('the numbers of a line', () => {
  it.each([
    ['none', 'nothing to see here', []],
    ['one', 'paid 12 times', [12]],
    ['fractions', 'load 0.75, 12.', [0.75, 12]],
    ['signs where a number begins', 'delta=-3 offset -1.5', [-3, -1.5]],
    ['thousands', 'moved 1,234,567 rows, 12,34', [1_234_567, 12, 34]],
    ['exponents', 'rate 1.5e3 and 2E-2', [1500, 0.02]],
    ['hexadecimal', 'flags 0x1F', [31]],
    ['durations in milliseconds', 'took 1.5 s, 3ms, 20 µs, 2 minutes, 1h', [1500, 3, 0.02, 120_000, 3_600_000]],
    ['durations as Go writes them', 'elapsed 1h2m3.5s', [3_723_500]],
    ['sizes in bytes', 'read 4 KB, 2MiB, 17 bytes', [4096, 2_097_152, 17]],
    ['shares as they stand', 'cpu 93.5% busy', [93.5]],
    ['in brackets and after separators', 'status=200 (42) [7] "9" id:8', [200, 42, 7, 9, 8]],
    ['a name after a number is no unit', 'x=1 m=2', [1, 2]],
    ['words with digits are names', 'eth0 x86_64 3f2a9c v1 node-7 s3 k8s', []],
    ['addresses and versions are names', 'from 10.0.0.1:443 by 1.2.3 on a.b.1', []],
    ['ids are names', '3f2a9c17-aa10-4be0-9f01-d3c09e7f0a11', []],
    ['dates and times of day say when', '2026-11-24T09:00:01.5Z 09:00:01 24/11/2026 code 5', [5]],
    ['paths are names', '/var/lib/17 code 5', [5]],
  ])('%s', (_what, line, numbers) => {
    const found = read(line)
    expect(found.length, String(found)).toBe(numbers.length)
    for (const [i, number] of numbers.entries()) expect(found[i]).toBeCloseTo(number, 9)
  })

  it('come in the same order for lines of the same kind', () => {
    expect(read('GET of 3 items by 10.0.0.1 took 12 ms, status 200')).toEqual([3, 12, 200])
    expect(read('GET of 40 items by 10.0.0.200 took 1.2 s, status 503')).toEqual([40, 1200, 503])
  })

  it('stop where there is no more room', () => {
    expect(read('1 2 3 4', 2)).toEqual([1, 2])
    expect(read('1 2', 0)).toEqual([])
  })

  it('are NaN or finite whatever the text', () => {
    expect(read(`${'9'.repeat(400)} next 1`)).toEqual([NaN, 1])
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        for (const number of read(text)) expect(Math.abs(number)).not.toBe(Infinity)
      }),
      { numRuns: 80 },
    )
    // A pass that went back would not end within the time a test has.
    for (const unit of ['1', '1.', '1-', '1h', '0x', '1,234', '1e', 'a1']) expect(read(unit.repeat(300_000)).length).toBeLessThanOrEqual(16)
  })
})
