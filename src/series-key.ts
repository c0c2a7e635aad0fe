/**
 * The identity of a series as text: `up{instance="a:1",job="node"}`; names that are no plain words are quoted, values are JSON strings. Written
 * into one reused buffer where it is plain ASCII, which is nearly always: adding strings up costs eight times as much in garbage.
 */
import type { Labels } from './model.ts'

const SCRATCH = Buffer.alloc(8 * 1024)
const OPEN = 0x7b
const CLOSE = 0x7d
const COMMA = 0x2c
const EQUALS = 0x3d
const QUOTE = 0x22

/** `labels` must be sorted by name and not hold `__name__`. */
export function seriesKey(name: string, labels: Labels): string {
  return plainKey(name, labels) ?? anyKey(name, labels)
}

function plainKey(name: string, labels: Labels): string | undefined {
  let at = copy(name, 0)
  if (at < 0) return undefined
  SCRATCH[at++] = OPEN
  for (let i = 0; i < labels.length; i++) {
    const [label, value] = labels[i]!
    if (i > 0) SCRATCH[at++] = COMMA
    if (!isWord(label) || (at = copy(label, at)) < 0) return undefined
    SCRATCH[at++] = EQUALS
    SCRATCH[at++] = QUOTE
    if ((at = copy(value, at)) < 0) return undefined
    SCRATCH[at++] = QUOTE
  }
  SCRATCH[at++] = CLOSE
  return SCRATCH.toString('latin1', 0, at)
}

/** Copies text that needs no escape to `at` and returns its end; -1 when it does, or when there is no room. */
function copy(text: string, at: number): number {
  if (at + text.length + 8 > SCRATCH.length) return -1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 32 || code > 126 || code === QUOTE || code === 0x5c) return -1
    SCRATCH[at + i] = code
  }
  return at + text.length
}

function anyKey(name: string, labels: Labels): string {
  return `${name}{${labels.map(([label, value]) => `${isWord(label) ? label : JSON.stringify(label)}=${JSON.stringify(value)}`).join(',')}}`
}

/** A letter or underscore, then those and digits. */
function isWord(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const letter = (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95
    if (!letter && (i === 0 || code < 48 || code > 57)) return false
  }
  return text !== ''
}
