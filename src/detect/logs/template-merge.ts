/**
 * When templates that differ in one place, or in the same two, are one template: when the values there are too many to be states of
 * something. What counts is how much else they share, how many values there are, and what they look like. Pure.
 */
import { WILD } from './log-repeats.ts'
import { holdsStatement, introducesName, isStatementWord } from './log-words.ts'

/** Words that templates must have in common beside the place they differ in. */
const ENOUGH_WORDS = 3
/** Values that look like names of things; plain words; plain words of which half or more lines bring one that was known; words of a statement. */
const IDENTIFIERS = 4
const PLAIN_WORDS = 5
const REPEATED_WORDS = 10
const STATEMENTS = 16
/** After `user` one other value is enough. */
const INTRODUCED = 2
/** With less in common: in the middle, at the beginning. */
const LITTLE_SHARED = 6
const FIRST_WORDS = 12
/** In two places: templates in all, and values in each place. */
const IN_TWO = 6
const VALUES_IN_TWO = 4

export interface Mergeable {
  readonly chunks: readonly string[] | undefined
  /** Lines it was seen on. */
  readonly lines: number
}

const FIXED_VALUE = 0
const PLAIN_WORD = 1
const IDENTIFIER = 2
const WILD_VALUE = 3

/** Templates that are equal outside `position`. */
export function shouldMerge(group: readonly Mergeable[], position: number): boolean {
  const distinct = group.length
  if (distinct < 2) return false
  const chunks = group[0]!.chunks!
  const { prefix, suffix } = sharedEnds(group, position)
  let lines = 0
  let most = 0
  let fixed = 0
  let names = 0
  let wild = 0
  for (const entry of group) {
    lines += entry.lines
    if (entry.lines > most) most = entry.lines
    const value = entry.chunks![position]!
    const kind = kindOf(value, prefix, value.length - suffix)
    if (kind === FIXED_VALUE) fixed++
    else if (kind === IDENTIFIER) names++
    else if (kind === WILD_VALUE) wild++
  }
  // Of which the most frequent value aside, at least half of the lines must have brought a value of their own.
  const isNewOften = 2 * (distinct - 1) >= lines - most + 1
  if (wordsOutside(chunks, position) < ENOUGH_WORDS) {
    if (wordsOutside(chunks, position) === 0 || fixed > distinct / 4) return false
    return isNewOften && distinct >= (position === 0 ? FIRST_WORDS : LITTLE_SHARED)
  }
  if (fixed > distinct / 4) return distinct >= STATEMENTS
  if (fixed === 0) {
    if (wild > 0) return true
    if (names === distinct && distinct >= IDENTIFIERS) return true
    if (position > 0 && distinct >= INTRODUCED && introducesName(bareWord(chunks[position - 1]!))) return true
  }
  return distinct >= REPEATED_WORDS || (isNewOften && distinct >= (names > 0 ? IDENTIFIERS : PLAIN_WORDS))
}

/** Templates that differ from the first one in these two positions only. */
export function shouldMergeTwo(members: readonly Mergeable[], first: number, second: number): boolean {
  if (members.length < IN_TWO) return false
  const chunks = members[0]!.chunks!
  if (wordsOutside(chunks, first) - wordsOutside([chunks[second]!], -1) < ENOUGH_WORDS) return false
  return areValues(members, first) && areValues(members, second)
}

function areValues(members: readonly Mergeable[], position: number): boolean {
  const values = new Set<string>()
  const { prefix, suffix } = sharedEnds(members, position)
  let fixed = 0
  for (const member of members) {
    const value = member.chunks![position]!
    if (values.has(value)) continue
    values.add(value)
    if (kindOf(value, prefix, value.length - suffix) === FIXED_VALUE) fixed++
  }
  return values.size >= VALUES_IN_TWO && fixed <= values.size / 4
}

/** What kind of thing a value is, without what it shares with the others. */
function kindOf(value: string, from: number, to: number): number {
  let small = 0
  let capitals = 0
  let isName = false
  let isWild = false
  for (let i = from; i < to; i++) {
    const code = value.charCodeAt(i)
    if (code === 60 && value.startsWith(WILD, i)) {
      isWild = true
      i += WILD.length - 1
    } else if (code >= 97 && code <= 122) small++
    else if (code >= 65 && code <= 90) {
      if (small > 0) isName = true
      capitals++
    } else if ((code === 95 || code === 46 || code === 45 || code === 36 || code > 127) && i < to - 1) isName = true
  }
  const letters = small + capitals
  if (isWild) return letters === 0 ? WILD_VALUE : holdsStatement(value.slice(from, to)) ? FIXED_VALUE : IDENTIFIER
  if (letters === 0 && !isName) return FIXED_VALUE
  if (isName || (small > 0 && capitals > 1)) return IDENTIFIER
  const bare = bareWord(value.slice(from, to))
  return isStatementWord(bare) ? FIXED_VALUE : PLAIN_WORD
}

function bareWord(chunk: string): string {
  return chunk.replace(/[^A-Za-z]/g, '').toLowerCase()
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

/** How many characters all values begin and end with, as far as that ends at a separator. */
function sharedEnds(members: readonly Mergeable[], position: number): { prefix: number; suffix: number } {
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
  // Half of a wildcard is none.
  if (first.slice(0, prefix).includes('<')) prefix = Math.min(prefix, first.indexOf('<'))
  if (first.slice(first.length - suffix).includes('>')) suffix = Math.min(suffix, first.length - 1 - first.lastIndexOf('>'))
  let shortest = first.length
  for (const member of members) shortest = Math.min(shortest, member.chunks![position]!.length)
  prefix = Math.min(prefix, shortest)
  return { prefix, suffix: Math.min(suffix, shortest - prefix) }
}

/** `<*>` with what all values begin and end with: `user=<*>,`. */
export function generalised(members: readonly Mergeable[], position: number): string {
  const first = members[0]!.chunks![position]!
  const { prefix, suffix } = sharedEnds(members, position)
  return `${first.slice(0, prefix)}${WILD}${first.slice(first.length - suffix)}`
}

function isSeparator(code: number): boolean {
  return code < 48 || (code > 57 && code < 65) || (code > 90 && code < 97) || (code > 122 && code < 128)
}

/** Whether a value can stand where the pattern's chunk has its wildcard. */
export function fits(pattern: string, value: string): boolean {
  const at = pattern.indexOf(WILD)
  if (at < 0) return pattern === value
  const tail = pattern.length - at - WILD.length
  return value.length > at + tail && value.startsWith(pattern.slice(0, at)) && value.endsWith(pattern.slice(at + WILD.length))
}
