/**
 * Where the things in a log line end that vary from line to line: words with digits, numbers with their units, paths, addresses, quoted
 * texts, values after `=`. No function looks back further than a character or two, so that a scan over a line is linear, however
 * hostile the line. And `LineShape`, a hash that is the same only for lines of the same key (log-key.ts) and many times cheaper than the key:
 * a cache in front of it.
 */
import { isDottedName, isKnownWord, isMethod, isUnit } from './log-words.ts'

const SPACE = 1
const DELIMITER = 2
const DIGIT = 4
const LETTER = 8
const PATH_HEAD = 16
const PATH_END = 32
/** Signs and dots, as numbers have them. */
const SIGN = 64
/** In a word, but none of the above. */
const OTHER = 128
const LETTER_LIKE = LETTER | PATH_HEAD
const DIGIT_LIKE = DIGIT | PATH_HEAD

const CLASSES = new Uint8Array(128).fill(OTHER)
for (let c = 0; c <= 32; c++) CLASSES[c] = SPACE | PATH_END
CLASSES[127] = SPACE | PATH_END
for (const [characters, flags] of [
  ['=,:;()[]{}<>"\'|#@/\\!?&', DELIMITER],
  ['0123456789', DIGIT | PATH_HEAD],
  ['abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ', LETTER | PATH_HEAD],
  ['_-+.', SIGN | PATH_HEAD],
  ['*%~$', OTHER | PATH_HEAD],
] as const) {
  for (let i = 0; i < characters.length; i++) CLASSES[characters.charCodeAt(i)] = flags
}
for (const character of '"\'<>)]},;([{|') CLASSES[character.charCodeAt(0)]! |= PATH_END

const NEWLINE = 10
const SPACE_CODE = 32
const DOUBLE_QUOTE = 34
const SINGLE_QUOTE = 39
const SLASH = 47
const EQUALS = 61
const COLON = 58
const AT = 64
const DOT = 46
const OPEN = 40
const CLOSE = 41

/** A quoted text, a value in brackets: beyond this it is something else. */
const LONGEST_QUOTED = 200
const LONGEST_NESTED = 400
/** Hexadecimal without a sign of it, such as `deadbeef01`. */
const SHORTEST_HEX = 8

const PLAIN = 0
const NUMBER = 1
const STEM = 2
const MIXED = 3

/** What the last call of `readWord` read. */
const word = { kind: PLAIN, dots: 0, isDotted: false, stemEnd: 0 }

/** Beyond the codes of characters. */
const MASKED = 0x1_0000
const NAMED = 0x2_0000
const KIND = 0x2_0001

/** Two 32-bit hashes of a line's shape. Equal shapes have equal keys: what the key leaves out, and little more, is left out here. */
export class LineShape {
  a = 0
  b = 0
  /** Where the first line of the text ends: the rest is not looked at. */
  end = 0

  read(line: string, start: number, end: number): void {
    let a = 0x811c9dc5 | 0
    let b = 0x9747b28c | 0
    let at = start
    while (at < end) {
      let code = line.charCodeAt(at)
      let cls = classOf(code)
      if ((cls & (SPACE | DELIMITER)) === 0) {
        // Most words are letters only: hashed while they are read.
        const [wordA, wordB] = [a, b]
        let to = at
        while (cls & LETTER) {
          a = Math.imul(a ^ code, 0x01000193)
          b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 15)
          if (++to >= end) break
          code = line.charCodeAt(to)
          cls = classOf(code)
        }
        if (to >= end || (cls & (SPACE | DELIMITER) && code !== COLON && code !== AT)) {
          at = to
          continue
        }
        if (to === at && cls & DIGIT) {
          while (to < end && (cls & DIGIT || code === DOT)) {
            if (++to >= end) break
            code = line.charCodeAt(to)
            cls = classOf(code)
          }
          if (to >= end || (cls & (SPACE | DELIMITER) && code !== COLON && code !== AT)) {
            a = Math.imul(a ^ (KIND + NUMBER), 0x01000193)
            b = Math.imul(b ^ (KIND + NUMBER), 0x85ebca6b) ^ (b >>> 15)
            at = to
            continue
          }
        }
        a = wordA
        b = wordB
        const wordEnd = readWord(line, at, end)
        const named = nameEnd(line, at, wordEnd, end)
        let kept = wordEnd
        let tag = 0
        if (named > 0) {
          kept = at
          tag = NAMED
        } else if (word.kind !== PLAIN && !isKept(line, at, wordEnd)) {
          // Of such a word the key can tell no more than this: its kind and its stem.
          kept = word.kind === STEM ? word.stemEnd : at
          tag = KIND + word.kind
        }
        for (; at < kept; at++) {
          const c = line.charCodeAt(at)
          a = Math.imul(a ^ c, 0x01000193)
          b = Math.imul(b ^ c, 0x85ebca6b) ^ (b >>> 15)
        }
        at = named > 0 ? named : wordEnd
        if (tag === 0) continue
        code = tag
      } else if (cls & SPACE) {
        do {
          if (code === NEWLINE) end = at
          if (++at >= end) break
          code = line.charCodeAt(at)
        } while (classOf(code) & SPACE)
        code = SPACE_CODE
      } else {
        const next =
          code === SLASH || code === EQUALS || code === DOUBLE_QUOTE || code === SINGLE_QUOTE ? maskedEnd(line, at, start, end) : 0
        at = next > 0 ? next : at + 1
        if (next > 0) code += MASKED
      }
      a = Math.imul(a ^ code, 0x01000193)
      b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 15)
    }
    this.a = a
    this.b = b
    this.end = end
  }
}

function classOf(code: number): number {
  return code < 128 ? CLASSES[code]! : LETTER | PATH_HEAD
}

/** Where what begins with the delimiter at `at` ends, if all of it varies: a path, a value after `=`, a quoted text; else 0. */
function maskedEnd(line: string, at: number, start: number, end: number): number {
  const code = line.charCodeAt(at)
  if (code === SLASH) return startsPath(line, at, start, end) ? pathEnd(line, at, end) : 0
  if (code === EQUALS) return valueEnd(line, at, start, end)
  return code === DOUBLE_QUOTE || code === SINGLE_QUOTE ? quotedEnd(line, at, start, end) : 0
}

/** Where a name ends that begins with the word between `at` and `wordEnd`, just read: an address, a host, a class; 0 when it is none. */
function nameEnd(line: string, at: number, wordEnd: number, end: number): number {
  const address = addressEnd(line, wordEnd, end)
  if (address > 0) return address
  if (word.kind !== PLAIN || word.dots < 2 || !word.isDotted || !isDottedName(line.slice(at, wordEnd))) return 0
  return line.charCodeAt(wordEnd) === SLASH ? pathEnd(line, wordEnd, end) : wordEnd
}

/** Reads the word at `at`, says of what kind it is, and returns its end. */
function readWord(line: string, at: number, end: number): number {
  let stemClasses = 0
  let classes = 0
  let dots = 0
  let stemEnd = -1
  let to = at
  for (; to < end; to++) {
    const code = line.charCodeAt(to)
    const cls = classOf(code)
    if (cls & (SPACE | DELIMITER)) break
    if (stemEnd < 0 && cls & DIGIT) {
      stemEnd = to
      stemClasses = classes
      classes = 0
    }
    classes |= cls
    if (code === DOT) dots++
  }
  word.dots = dots
  word.isDotted = dots > 0 && line.charCodeAt(at) !== DOT && line.charCodeAt(to - 1) !== DOT
  word.stemEnd = stemEnd
  if (stemEnd < 0) word.kind = PLAIN
  else if (((stemClasses | classes) & (LETTER | OTHER)) === 0) word.kind = NUMBER
  else word.kind = isStem(line, at, stemEnd, to, stemClasses, classes) ? STEM : MIXED
  return to
}

/** Two letters or more and then digits only, as in `eth0`; but `deadbeef01` is a number. */
function isStem(line: string, at: number, stemEnd: number, end: number, stemClasses: number, restClasses: number): boolean {
  if (stemEnd < at + 2 || stemClasses & ~LETTER_LIKE || restClasses & ~DIGIT_LIKE) return false
  if (end - at < SHORTEST_HEX) return true
  for (let i = at; i < stemEnd; i++) if ((line.charCodeAt(i) | 32) > 102) return true
  return false
}

/** A word with digits that is a name all the same. */
function isKept(line: string, at: number, wordEnd: number): boolean {
  return word.kind !== NUMBER && isKnownWord(line, at, wordEnd)
}

function isTruth(line: string, at: number, wordEnd: number): boolean {
  return wordEnd - at === 4 ? line.startsWith('true', at) : wordEnd - at === 5 && line.startsWith('false', at)
}

/** The quoted text that begins at `at`: where it ends; 0 when it is none, or a key, or says what is done rather than with what. */
function quotedEnd(line: string, at: number, start: number, end: number): number {
  if (at > start && classOf(line.charCodeAt(at - 1)) & (LETTER | DIGIT)) return 0
  const quote = line.charCodeAt(at)
  const most = Math.min(end, at + LONGEST_QUOTED)
  let firstSpace = 0
  let isPlain = true
  let to = at + 1
  for (; to < most; to++) {
    const code = line.charCodeAt(to)
    if (code === quote) break
    if (code <= SPACE_CODE) {
      if (code === NEWLINE) return 0
      if (firstSpace === 0) firstSpace = to
    }
    if (!(classOf(code) & LETTER)) isPlain = false
  }
  if (to >= most || to === at + 1) return 0
  // An apostrophe is no quote, and a word in single ones may be a state.
  if (quote === SINGLE_QUOTE && (isPlain || firstSpace > 0)) return 0
  const after = to + 1 < end ? line.charCodeAt(to + 1) : SPACE_CODE
  if (after === COLON || classOf(after) & (LETTER | DIGIT)) return 0
  return isMethod(line.slice(at + 1, firstSpace || to)) ? 0 : to + 1
}

/** Where the value after the `=` at `at` ends; 0 when it is no assignment to a word, or of nothing. */
function valueEnd(line: string, at: number, start: number, end: number): number {
  let before = at - 1
  if (before > start && line.charCodeAt(before) === SPACE_CODE) before--
  if (before < start || !(classOf(line.charCodeAt(before)) & (LETTER | DIGIT) || line.charCodeAt(before) === 95)) return 0
  let from = at + 1
  while (from < end && from - at <= 2 && line.charCodeAt(from) === SPACE_CODE) from++
  if (from >= end) return 0
  const first = line.charCodeAt(from)
  if (first === EQUALS || first === 62) return 0
  if (first === DOUBLE_QUOTE || first === SINGLE_QUOTE) return assignedQuoteEnd(line, from, end)
  let depth = 0
  let isKey = false
  let to = from
  for (; to < end; to++) {
    const code = line.charCodeAt(to)
    const cls = classOf(code)
    if (depth === 0 && cls & (SPACE | PATH_END) && code !== OPEN && code !== 91 && code !== 123) break
    if (depth === 0 && code === 38) break
    if (code === EQUALS) isKey = true
    if (code === OPEN || code === 91 || code === 123) depth++
    else if (depth > 0 && (code === CLOSE || code === 93 || code === 125)) depth--
    if (depth > 0 && (code === NEWLINE || to - from > LONGEST_NESTED)) return 0
  }
  if (depth > 0 || to === from) return 0
  // `a= b=1`: what comes next is the next key, and this one has no value.
  if (isKey && from > at + 1) return 0
  return isMethod(line.slice(from, to)) ? 0 : to
}

/** A quoted value; 0 when it has assignments of its own in it. */
function assignedQuoteEnd(line: string, from: number, end: number): number {
  const quote = line.charCodeAt(from)
  const most = Math.min(end, from + LONGEST_QUOTED)
  for (let to = from + 1; to < most; to++) {
    const code = line.charCodeAt(to)
    if (code === EQUALS || code === NEWLINE) return 0
    if (code === quote) return to + 1
  }
  return 0
}

function startsPath(line: string, at: number, start: number, end: number): boolean {
  if (at + 1 >= end || !(classOf(line.charCodeAt(at + 1)) & PATH_HEAD)) return false
  if (at === start) return true
  const before = line.charCodeAt(at - 1)
  return !(classOf(before) & (LETTER | DIGIT)) && before !== DOT && before !== 95 && before !== SLASH && before !== 60
}

function pathEnd(line: string, at: number, end: number): number {
  while (at < end && !(classOf(line.charCodeAt(at)) & PATH_END)) at++
  return at
}

/** Where `word://…`, `word@name.tld` or `name.tld:port` ends whose first word, just read, ends at `wordEnd`; 0 when it is none of them. */
function addressEnd(line: string, wordEnd: number, end: number): number {
  if (wordEnd + 1 >= end) return 0
  const code = line.charCodeAt(wordEnd)
  if (code === COLON && line.charCodeAt(wordEnd + 1) === SLASH) {
    const isUrl = wordEnd + 3 < end && line.charCodeAt(wordEnd + 2) === SLASH && !(classOf(line.charCodeAt(wordEnd + 3)) & PATH_END)
    return isUrl ? pathEnd(line, wordEnd + 3, end) : 0
  }
  if ((code !== COLON || !word.isDotted) && code !== AT) return 0
  if (classOf(line.charCodeAt(wordEnd + 1)) & (SPACE | DELIMITER)) return 0
  // Reading the second word must not change what is known of the first.
  const kind = word.kind
  const dotted = word.isDotted
  const stem = word.stemEnd
  const nextEnd = readWord(line, wordEnd + 1, end)
  const found = code === AT ? word.isDotted : word.kind === NUMBER && (classOf(line.charCodeAt(wordEnd + 1)) & DIGIT) !== 0
  word.kind = kind
  word.isDotted = dotted
  word.stemEnd = stem
  return found ? nextEnd : 0
}

/** A number ends at `at`: where its unit ends, and a second reading ` (1.2 KB)`; `at` when it has neither. */
function readingEnd(line: string, at: number, end: number): number {
  let to = unitEnd(line, at, end)
  let next = spaceEnd(line, to, end)
  if (next >= end || line.charCodeAt(next) !== OPEN) return to
  next++
  if (next >= end || !(classOf(line.charCodeAt(next)) & DIGIT)) return to
  const numberEnd = readWord(line, next, end)
  if (word.kind !== NUMBER) return to
  const unit = unitEnd(line, numberEnd, end)
  if (unit > numberEnd && unit < end && line.charCodeAt(unit) === CLOSE) to = unit + 1
  return to
}

function spaceEnd(line: string, at: number, end: number): number {
  let to = at
  while (to < end && classOf(line.charCodeAt(to)) & SPACE) to++
  return to
}

function unitEnd(line: string, at: number, end: number): number {
  const from = spaceEnd(line, at, end)
  if (from >= end || classOf(line.charCodeAt(from)) & (SPACE | DELIMITER)) return at
  let to = readWord(line, from, end)
  // `a=1 b=2`: a name, not a unit.
  if (word.kind !== PLAIN || to - from > 12 || (to < end && line.charCodeAt(to) === EQUALS)) return at
  let unit = line.slice(from, to)
  if (unit.endsWith('.')) unit = unit.slice(0, -1)
  if (!isUnit(unit)) return at
  if (to + 1 < end && line.charCodeAt(to) === SLASH) {
    const per = readWord(line, to + 1, end)
    if (per > to + 1 && word.kind === PLAIN && isUnit(line.slice(to + 1, per))) to = per
  }
  return to
}

/** For the scan that makes a key. As one object: a name that is exported by itself is slower to reach, here too. */
export const scan = {
  SPACE,
  DELIMITER,
  COLON,
  EQUALS,
  SLASH,
  PLAIN,
  NUMBER,
  STEM,
  word,
  classOf,
  maskedEnd,
  nameEnd,
  readWord,
  isKept,
  isTruth,
  readingEnd,
} as const
