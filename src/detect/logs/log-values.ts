/**
 * The numbers in a log line, in order of appearance, each in the base unit of its kind: durations in milliseconds, sizes in bytes, everything
 * else as it stands. Lines of one template have their numbers in the same order, so that the n-th of one is what the n-th of another is.
 * Digits inside words (`eth0`, `3f2a9c`, `10.0.0.1`) are names, and dates and times of day are when, not what: neither is a number.
 * One pass without allocation, so that it can run on every line of a template that is watched.
 */

const NUL = 0
const POWERS = Float64Array.from({ length: 23 }, (_, i) => 10 ** i)
const LONGEST_UNIT = 12

/** By unit: what one of it is in the base unit of its kind. */
const FACTORS = new Map<string, number>()
for (const [factor, names] of [
  [1e-6, 'ns nsec nsecs nanosecond nanoseconds'],
  [1e-3, 'us µs μs usec usecs microsecond microseconds'],
  [1, 'ms msec msecs milli millis millisecond milliseconds'],
  [1e3, 's sec secs second seconds'],
  [6e4, 'm min mins minute minutes'],
  [36e5, 'h hr hrs hour hours'],
  [864e5, 'd day days'],
  // IEC 80000-13: k is 1000 and Ki 1024; programs that write KB and MB nearly always mean the latter.
  [1, 'B b byte bytes Byte Bytes'],
  [1024, 'K k kB kb KB Kb KiB kib'],
  [1024 ** 2, 'M mB mb MB Mb MiB mib'],
  [1024 ** 3, 'G g gB gb GB Gb GiB gib'],
  [1024 ** 4, 'T tB tb TB Tb TiB tib'],
  [1, '%'],
] as const) {
  for (const name of names.split(' ')) FACTORS.set(name, factor)
}

/** By the characters of a unit in base 128, so that a look-up makes no string. Only for those of up to four ASCII characters. */
const SHORT_FACTORS = new Map<number, number>()
for (const [name, factor] of FACTORS) if (codeOf(name, 0, name.length) > 0) SHORT_FACTORS.set(codeOf(name, 0, name.length), factor)

const DIGIT = 1
/** Letters, digits and `_`. */
const WORD = 2
const CLASSES = new Uint8Array(128)
for (let c = 0; c < 128; c++) CLASSES[c] = (c >= 48 && c <= 57 ? DIGIT : 0) | (isLetter(c) || (c >= 48 && c <= 57) || c === 95 ? WORD : 0)

/**
 * Writes the numbers of `line` to `out` and returns how many there are, at most as many as `out` has room for. A sign counts where a number
 * begins (`=-3`), `1,024` is one number, `1h2m3s` is one duration, `1.5e3` and hexadecimal (`0x1f`) are read, and what is no finite number is NaN.
 */
export function numbersOf(line: string, out: Float64Array): number {
  const end = line.length
  let count = 0
  let at = 0
  while (at < end && count < out.length) {
    const code = line.charCodeAt(at)
    const cls = code < 128 ? CLASSES[code]! : WORD
    if (!(cls & DIGIT)) {
      // A word takes its digits along.
      at = cls & WORD ? wordEnd(line, at, end) : at + 1
      continue
    }
    const to = numberEnd(line, at, end)
    if (numberKind === NAME) at = Math.max(to, wordEnd(line, at, end))
    else {
      out[count++] = isNegative(line, at) ? -numberValue : numberValue
      at = to
    }
  }
  return count
}

const NAME = 0
const VALUE = 1
let numberKind = NAME
let numberValue = 0

/** Reads the number that begins with the digit at `at`, with its unit; says whether it is one, and returns where it ends. */
function numberEnd(line: string, at: number, end: number): number {
  numberKind = NAME
  const first = plainEnd(line, at, end)
  let to = first
  // What goes on with a sign or a dot and another digit is an address, a version, a date or a time of day.
  const after = codeAt(line, to, end)
  if ((after === 46 || after === 45 || after === 58 || after === 47 || after === 95) && isDigit(codeAt(line, to + 1, end)))
    return chainEnd(line, to, end)
  if (isPartOfName(line, at)) return to
  let unit = unitEnd(line, to, end)
  if (unit === 0) return wordEnd(line, to, end)
  if (unit > to) {
    let sum = numberValue * unitFactor
    to = unit
    // `1h2m3.5s`, as Go writes durations.
    while (isDigit(codeAt(line, to, end))) {
      const next = plainEnd(line, to, end)
      unit = unitEnd(line, next, end)
      if (unit <= next) return wordEnd(line, next, end)
      sum += numberValue * unitFactor
      to = unit
    }
    numberValue = sum
  } else if (codeAt(line, to, end) === 32) {
    unit = unitEnd(line, to + 1, end)
    // `a=1 b=2`: a name, not a unit.
    if (unit > to + 1 && codeAt(line, unit, end) !== 61 && codeAt(line, unit, end) !== 58) {
      numberValue *= unitFactor
      to = unit
    }
  }
  numberKind = VALUE
  if (!Number.isFinite(numberValue)) numberValue = NaN
  return to
}

/** Digits with a fraction, thousands, an exponent, or hexadecimal ones; sets `numberValue`. */
function plainEnd(line: string, at: number, end: number): number {
  if (line.charCodeAt(at) === 48 && (codeAt(line, at + 1, end) | 32) === 120 && hexOf(codeAt(line, at + 2, end)) >= 0)
    return hexEnd(line, at + 2, end)
  let value = 0
  let to = at
  for (; to < end && isDigit(line.charCodeAt(to)); to++) value = value * 10 + line.charCodeAt(to) - 48
  if (to - at <= 3) {
    while (codeAt(line, to, end) === 44 && isThousand(line, to + 1, end)) {
      value = value * 1000 + (line.charCodeAt(to + 1) - 48) * 100 + (line.charCodeAt(to + 2) - 48) * 10 + line.charCodeAt(to + 3) - 48
      to += 4
    }
  }
  if (codeAt(line, to, end) === 46 && isDigit(codeAt(line, to + 1, end))) {
    const from = to + 1
    let fraction = 0
    let digits = 0
    for (to = from; to < end && isDigit(line.charCodeAt(to)); to++) {
      if (digits >= 15) continue
      fraction = fraction * 10 + line.charCodeAt(to) - 48
      digits++
    }
    value += fraction / POWERS[digits]!
  }
  if ((codeAt(line, to, end) | 32) === 101) {
    const sign = codeAt(line, to + 1, end)
    const from = to + (sign === 45 || sign === 43 ? 2 : 1)
    let exponent = 0
    let next = from
    for (; next < end && next - from < 3 && isDigit(line.charCodeAt(next)); next++) exponent = exponent * 10 + line.charCodeAt(next) - 48
    if (next > from && !isWord(codeAt(line, next, end))) {
      value *= 10 ** (sign === 45 ? -exponent : exponent)
      to = next
    }
  }
  numberValue = value
  return to
}

function hexEnd(line: string, at: number, end: number): number {
  let value = 0
  let to = at
  for (; to < end; to++) {
    const digit = hexOf(line.charCodeAt(to))
    if (digit < 0) break
    value = value * 16 + digit
  }
  numberValue = value
  return to
}

let unitFactor = 1

/** Where the unit at `at` ends, `at` when no word stands there, 0 when it is a word but no unit; sets `unitFactor`. */
function unitEnd(line: string, at: number, end: number): number {
  unitFactor = 1
  const first = codeAt(line, at, end)
  if (first === 37) return at + 1
  if (!isLetter(first)) return isWord(first) ? 0 : at
  let to = at + 1
  while (to < end && isLetter(line.charCodeAt(to))) to++
  if (to - at > LONGEST_UNIT || codeAt(line, to, end) === 95) return 0
  const short = codeOf(line, at, to)
  const factor = short > 0 ? SHORT_FACTORS.get(short) : FACTORS.get(line.slice(at, to))
  if (factor === undefined) return 0
  unitFactor = factor
  return to
}

/** After digits and a sign and more digits: where all of that ends. */
function chainEnd(line: string, at: number, end: number): number {
  let to = at
  while (to < end) {
    const code = line.charCodeAt(to)
    const isGlue = code === 46 || code === 45 || code === 58 || code === 47
    if (!isWord(code) && !(isGlue && isWord(codeAt(line, to + 1, end)))) break
    to++
  }
  return to
}

/** The digit at `at` goes on with what stands before it: `v1`, `a.1`, `node-7`, `#` and paths. */
function isPartOfName(line: string, at: number): boolean {
  if (at === 0) return false
  const before = line.charCodeAt(at - 1)
  if (isWord(before) || before === 46 || before === 47 || before === 92) return true
  return before === 45 && at > 1 && isWord(line.charCodeAt(at - 2))
}

function isNegative(line: string, at: number): boolean {
  return at > 0 && line.charCodeAt(at - 1) === 45
}

/** Where the word ends: letters, digits, `_`, and dots, signs and slashes between them. */
function wordEnd(line: string, at: number, end: number): number {
  let to = at
  while (to < end && isWord(line.charCodeAt(to))) to++
  if (to === at) return at + 1
  return isDigit(codeAt(line, to + 1, end)) && (line.charCodeAt(to) === 45 || line.charCodeAt(to) === 46) ? chainEnd(line, to, end) : to
}

function isThousand(line: string, at: number, end: number): boolean {
  return (
    isDigit(codeAt(line, at, end)) &&
    isDigit(codeAt(line, at + 1, end)) &&
    isDigit(codeAt(line, at + 2, end)) &&
    !isWord(codeAt(line, at + 3, end))
  )
}

function codeAt(line: string, at: number, end: number): number {
  return at < end ? line.charCodeAt(at) : NUL
}

/** 0 when it is longer, or not ASCII. */
function codeOf(text: string, from: number, to: number): number {
  if (to - from > 4) return 0
  let code = 0
  for (let i = from; i < to; i++) {
    const c = text.charCodeAt(i)
    if (c > 127) return 0
    code = (code << 7) | c
  }
  return code
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function isLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code > 127
}

function isWord(code: number): boolean {
  return code > 127 || (CLASSES[code]! & WORD) !== 0
}

function hexOf(code: number): number {
  if (isDigit(code)) return code - 48
  const small = code | 32
  return small >= 97 && small <= 102 ? small - 87 : -1
}
