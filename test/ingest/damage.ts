/** A message that was cut off anywhere, or of which a few bytes were changed, is refused as such or read; nothing else may come of it. */
import * as fc from 'fast-check'
import { expect } from 'vitest'
import { DecodeError } from '../../src/errors.ts'

export function expectDamageToBeRefusedOrRead(seed: Uint8Array, decode: (body: Uint8Array) => unknown): void {
  const survives = (body: Uint8Array) => {
    try {
      decode(body)
    } catch (error) {
      expect(error).toBeInstanceOf(DecodeError)
    }
  }
  for (let length = 0; length < seed.length; length++) survives(seed.subarray(0, length))
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: seed.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 5 }), (changes) => {
      const body = seed.slice()
      for (const [at, byte] of changes) body[at] = byte
      survives(body)
    }),
    { numRuns: 500 },
  )
}
