/** Telling whether somebody knows a secret, without telling anything about it. */
import { createHash, timingSafeEqual } from 'node:crypto'

/** Compares digests, which have one length, so that the time taken says nothing about the secret. */
export function sameSecret(shown: string, secret: string): boolean {
  return timingSafeEqual(digest(shown), digest(secret))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
