/**
 * When templates that differ in one place are one template: what they are cut into, how those that differ in one place find each other,
 * and when the values in that place are too many to be states of something. Pure.
 *
 * A leave-one-out hash per position needs no tree and no depth to choose, which is what trips the parsers that have one
 * (Drain: He et al., ICWS 2017, https://jiemingzhu.github.io/pub/pjhe_icws2017.pdf).
 */
import { WILD } from './log-key.ts'

/** Longer templates are taken as they are: learning from them costs more than it gives. */
export const MAX_CHUNKS = 40
const QUOTED_CHARS = 80

export interface Mergeable {
  readonly chunks: readonly string[] | undefined
  /** Lines it was seen on. */
  readonly lines: number
}

/** Split at spaces, but a quoted string of up to 80 characters stays whole. Joined with spaces it is the text again. */
export function chunksOf(text: string): string[] {
  const chunks: string[] = []
  let start = 0
  let quoteEnd = -1
  for (let i = 0; i <= text.length; i++) {
    if (i === text.length || (text.charCodeAt(i) === 32 && i > quoteEnd)) {
      chunks.push(text.slice(start, i))
      start = i + 1
      if (chunks.length > MAX_CHUNKS) break
    } else if (text.charCodeAt(i) === 34 && i > quoteEnd) {
      const close = text.indexOf('"', i + 1)
      quoteEnd = close > 0 && close - i <= QUOTED_CHARS ? close : i
    }
  }
  return chunks
}

function hashOf(chunk: string, seed: number): number {
  let h = seed
  for (let i = 0; i < chunk.length; i++) h = Math.imul(h ^ chunk.charCodeAt(i), 0x01000193)
  return h ^ (h >>> 15)
}

function placed(hash: number, position: number): number {
  const h = Math.imul(hash ^ Math.imul(position + 1, 0x9e3779b1), 0x85ebca6b)
  return h ^ (h >>> 13)
}

/** Per position a 52-bit hash of all other chunks, the position and the number of chunks. */
export function leaveOneOut(chunks: readonly string[]): Float64Array {
  const count = chunks.length
  const a = new Int32Array(count)
  const b = new Int32Array(count)
  let sumA = Math.imul(count, 0x27d4eb2f)
  let sumB = Math.imul(count, 0x165667b1)
  for (let i = 0; i < count; i++) {
    a[i] = placed(hashOf(chunks[i]!, 0x811c9dc5), i)
    b[i] = placed(hashOf(chunks[i]!, 0x1b873593), i + 101)
    sumA = (sumA + a[i]!) | 0
    sumB = (sumB + b[i]!) | 0
  }
  const out = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    const x = placed((sumA - a[i]!) | 0, i + 211) >>> 0
    const y = placed((sumB - b[i]!) | 0, i + 307) >>> 12
    out[i] = x * 0x100000 + y
  }
  return out
}

export function shouldMerge(group: readonly Mergeable[], position: number): boolean {
  const distinct = group.length
  if (distinct < 2) return false
  const context = wordsOutside(group[0]!.chunks!, position)
  let lines = 0
  let most = 0
  let hasWild = false
  let allPlain = true
  for (const entry of group) {
    const value = entry.chunks![position]!
    lines += entry.lines
    if (entry.lines > most) most = entry.lines
    if (value === WILD) hasWild = true
    if (allPlain && !isPlainWord(value)) allPlain = false
  }
  if (hasWild && context >= 3) return true
  // Of which the most frequent value aside, at least half of the lines must have brought a value of their own.
  if ((distinct - 1) / (lines - most + 1) < 0.5) return false
  if (context >= 3) return distinct >= (allPlain ? 5 : 4)
  return context >= 1 && distinct >= (position === 0 ? 12 : 6)
}

/** Words of two or more letters in the other chunks: how much there is to say that these lines are the same statement. */
function wordsOutside(chunks: readonly string[], position: number): number {
  let words = 0
  for (let i = 0; i < chunks.length; i++) {
    if (i === position) continue
    const chunk = chunks[i]!
    let run = 0
    for (let j = 0; j < chunk.length; j++) {
      const code = chunk.charCodeAt(j)
      const isLetter = (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code >= 128
      run = isLetter ? run + 1 : 0
      if (run === 2) words++
    }
  }
  return words
}

/** `running`, `RUNNING`, `Running`: a state rather than an id. */
function isPlainWord(value: string): boolean {
  let small = 0
  let capitals = 0
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code >= 97 && code <= 122) small++
    else if (code >= 65 && code <= 90 && small === 0) capitals++
    else return false
  }
  return small === 0 || capitals <= 1
}

/** `<*>` with what all values begin and end with, as far as that ends at a separator: `user=<*>,`. */
export function generalised(members: readonly Mergeable[], position: number): string {
  const first = members[0]!.chunks![position]!
  let prefix = first.length
  let suffix = first.length
  for (const member of members) {
    const value = member.chunks![position]!
    let same = 0
    while (same < prefix && same < value.length && value.charCodeAt(same) === first.charCodeAt(same)) same++
    prefix = same
    same = 0
    while (same < suffix && same < value.length && value.charCodeAt(value.length - 1 - same) === first.charCodeAt(first.length - 1 - same))
      same++
    suffix = same
  }
  while (prefix > 0 && !isSeparator(first.charCodeAt(prefix - 1))) prefix--
  while (suffix > 0 && !isSeparator(first.charCodeAt(first.length - suffix))) suffix--
  const head = first.slice(0, prefix)
  const tail = first.slice(Math.max(prefix, first.length - suffix))
  return head.includes('<') || tail.includes('>') ? WILD : `${head}${WILD}${tail}`
}

function isSeparator(code: number): boolean {
  return code < 48 || (code > 57 && code < 65) || (code > 90 && code < 97) || (code > 122 && code < 128)
}

/** Whether a value can stand where the pattern's chunk has its wildcard. */
export function fits(pattern: string, value: string): boolean {
  const at = pattern.indexOf(WILD)
  if (at < 0) return pattern === value
  const tail = pattern.length - at - WILD.length
  return value.length >= at + tail && value.startsWith(pattern.slice(0, at)) && value.endsWith(pattern.slice(at + WILD.length))
}
