/**
 * The key of a log line: its text with everything that varies taken out, in one scan over the characters and without a regular
 * expression (lines are hostile; the scan is linear). `<*>` stands for a number, an id, a path, a URL, an address or a list of them.
 * `LineShape` is a hash that is the same only for lines of the same key, and cheaper than the key: a cache in front of it.
 */

export const WILD = '<*>'

const SPACE = 1
const DELIMITER = 2
const DIGIT = 4
const LETTER = 8
const PATH_HEAD = 16
const PATH_END = 32

const CLASSES = new Uint8Array(128)
for (let c = 0; c <= 32; c++) CLASSES[c] = SPACE | PATH_END
CLASSES[127] = SPACE | PATH_END
mark('=,:;()[]{}<>"\'|#@/\\!?&', DELIMITER)
mark('0123456789', DIGIT | PATH_HEAD)
mark('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ', LETTER | PATH_HEAD)
mark('_-*%~$+.', PATH_HEAD)
mark('"\'<>)]},;([{|', PATH_END)

const SLASH = 47
const COLON = 58
const AT = 64
const DOT = 46
const OPEN = 40
const CLOSE = 41

/** Words with a digit in them that are names all the same. */
const KNOWN = new Set(
  (
    'ipv4 ipv6 IPv4 IPv6 sha1 sha256 sha512 SHA1 SHA256 SHA512 md5 MD5 utf8 utf-8 UTF8 UTF-8 utf16 base64 Base64 x86 x86_64 amd64 arm64 i386 http1 http2 ' +
    'HTTP2 h2 h2c s3 S3 ec2 EC2 k8s K8s oauth2 OAuth2 x509 X509 X.509 log4j l2 l3 L1 L2 L3 L4 L7 p50 p95 p99 v1 v2 v3 int8 int16 int32 int64 uint8 uint32 uint64 ' +
    'float32 float64 pbkdf2 ed25519 http3 ext4 gzip2 bzip2 lz4 i18n e2e 2xx 3xx 4xx 5xx 2PC'
  ).split(' '),
)
const KNOWN_LONGEST = 8

const UNITS = new Set(
  (
    'ns us µs ms msec msecs millis millisecond milliseconds microseconds nanoseconds s sec secs second seconds m min mins minute minutes h hr hrs hour hours d day days ' +
    'b B byte bytes Byte Bytes bit bits k K kb kB KB Kb KiB kib m M mb mB MB Mb MiB mib g G gb GB Gb GiB gib t T tb TB TiB tib PB PiB bps kbps Kbps Mbps mbps Gbps gbps Bps ' +
    'rps qps tps Hz kHz KHz MHz GHz % percent'
  ).split(' '),
)

/** What kind of word the last call of `readWord` read. */
const PLAIN = 0
const NUMBER = 1
const STEM = 2
const MIXED = 3
let wordKind = PLAIN
let wordDotted = false
let stemEnd = 0

/**
 * The key of `line` between two positions. Rules: (1) white space runs are one space; (2) paths, (3) URLs, mail addresses and `host:port`,
 * (4) words with a digit are `<*>`, except names such as `ipv4`, and `eth0` is `eth<*>`; (5) a number takes the unit after it along, and a
 * second reading in brackets; (6) a list of `<*>` is one; (7) a group of one to four chunks that comes three times or more is kept once.
 */
export function logKey(line: string, start = 0, end = line.length): string {
  let key = ''
  let pending = ''
  let wilds = 0
  let afterWild = false
  let at = start
  while (at < end) {
    const code = line.charCodeAt(at)
    const cls = classOf(code)
    if (cls & SPACE) {
      do at++
      while (at < end && classOf(line.charCodeAt(at)) & SPACE)
      if (key !== '' || pending !== '') pending += ' '
      continue
    }
    let next = 0
    if (code === SLASH && startsPath(line, at, start, end)) next = pathEnd(line, at, end)
    else if (cls & DELIMITER) {
      pending += line[at]
      at++
      continue
    } else {
      const wordEnd = readWord(line, at, end)
      next = addressEnd(line, wordEnd, end)
      if (next === 0 && wordKind !== PLAIN && !isKnown(line, at, wordEnd)) {
        if (wordKind === STEM) {
          key += pending + line.slice(at, stemEnd) + WILD
          wilds++
          pending = ''
          afterWild = false
          at = wordEnd
          continue
        }
        next = wordKind === NUMBER ? readingEnd(line, wordEnd, end) : wordEnd
      }
      if (next === 0) {
        key += pending + line.slice(at, wordEnd)
        pending = ''
        afterWild = false
        at = wordEnd
        continue
      }
    }
    if (!afterWild || pending.includes('(') || pending.includes('=')) {
      key += pending + WILD
      wilds++
    }
    pending = ''
    afterWild = true
    at = next
  }
  key += pending.trimEnd()
  return wilds >= 3 ? withoutRepeats(key) : key
}

/** Two 32-bit hashes of a line's shape. Equal shapes have equal keys: what the key leaves out, and nothing more, is left out here. */
export class LineShape {
  a = 0
  b = 0

  read(line: string, start: number, end: number): void {
    let a = 0x811c9dc5 | 0
    let b = 0x9747b28c | 0
    let at = start
    while (at < end) {
      const code = line.charCodeAt(at)
      const cls = classOf(code)
      if (cls & SPACE) {
        do at++
        while (at < end && classOf(line.charCodeAt(at)) & SPACE)
        a = Math.imul(a ^ 32, 0x01000193)
        b = Math.imul(b ^ 32, 0x85ebca6b) ^ (b >>> 15)
        continue
      }
      if (cls & DELIMITER) {
        at++
        a = Math.imul(a ^ code, 0x01000193)
        b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 15)
        continue
      }
      const wordEnd = readWord(line, at, end)
      let to = wordEnd
      if (wordKind !== PLAIN && !isKnown(line, at, wordEnd)) {
        // Of such a word the key can tell no more than this: its kind, its stem, a dot inside, what stands at its ends.
        to = wordKind === STEM ? stemEnd : at
        const tag = 0x10000 + wordKind * 4 + (wordDotted ? 1 : 0)
        const ends = edgeOf(line.charCodeAt(at)) * 131 + edgeOf(line.charCodeAt(wordEnd - 1))
        a = Math.imul(a ^ tag, 0x01000193)
        b = Math.imul(b ^ ends, 0x85ebca6b) ^ (b >>> 15)
        a = Math.imul(a ^ ends, 0x01000193)
        b = Math.imul(b ^ tag, 0x85ebca6b) ^ (b >>> 15)
      }
      for (; at < to; at++) {
        const c = line.charCodeAt(at)
        a = Math.imul(a ^ c, 0x01000193)
        b = Math.imul(b ^ c, 0x85ebca6b) ^ (b >>> 15)
      }
      at = wordEnd
    }
    this.a = a
    this.b = b
  }
}

function mark(characters: string, flags: number): void {
  for (let i = 0; i < characters.length; i++) CLASSES[characters.charCodeAt(i)]! |= flags
}

function classOf(code: number): number {
  return code < 128 ? CLASSES[code]! : LETTER | PATH_HEAD
}

function edgeOf(code: number): number {
  return classOf(code) & (LETTER | DIGIT) ? 1 : code
}

/** Reads the word at `at`, says of what kind it is, and returns its end. */
function readWord(line: string, at: number, end: number): number {
  let letters = 0
  let digits = 0
  let others = 0
  let signs = 0
  let dots = 0
  let firstDigit = -1
  let lettersAfterDigit = false
  let to = at
  for (; to < end; to++) {
    const code = line.charCodeAt(to)
    const cls = classOf(code)
    if (cls & (SPACE | DELIMITER)) break
    if (cls & DIGIT) {
      if (firstDigit < 0) firstDigit = to
      digits++
    } else if (cls & LETTER) {
      letters++
      if (firstDigit >= 0) lettersAfterDigit = true
    } else if (code === DOT) dots++
    else if (code === 45 || code === 43 || code === 95) signs++
    else others++
  }
  wordDotted = dots > 0 && line.charCodeAt(at) !== DOT && line.charCodeAt(to - 1) !== DOT
  if (digits === 0) wordKind = PLAIN
  else if (letters === 0 && others === 0) wordKind = NUMBER
  else if (letters >= 2 && !lettersAfterDigit && dots + signs + others === 0) {
    wordKind = STEM
    stemEnd = firstDigit
  } else wordKind = MIXED
  return to
}

function isKnown(line: string, at: number, wordEnd: number): boolean {
  return wordEnd - at <= KNOWN_LONGEST && KNOWN.has(line.slice(at, wordEnd))
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
  if ((code !== COLON || !wordDotted) && code !== AT) return 0
  if (classOf(line.charCodeAt(wordEnd + 1)) & (SPACE | DELIMITER)) return 0
  // Reading the second word must not change what is known of the first.
  const kind = wordKind
  const dotted = wordDotted
  const stem = stemEnd
  const nextEnd = readWord(line, wordEnd + 1, end)
  const found = code === AT ? wordDotted : wordKind === NUMBER && (classOf(line.charCodeAt(wordEnd + 1)) & DIGIT) !== 0
  wordKind = kind
  wordDotted = dotted
  stemEnd = stem
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
  if (wordKind !== NUMBER) return to
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
  if (wordKind !== PLAIN || to - from > 12 || (to < end && line.charCodeAt(to) === 61)) return at
  let unit = line.slice(from, to)
  if (unit.endsWith('.')) unit = unit.slice(0, -1)
  if (!UNITS.has(unit)) return at
  if (to + 1 < end && line.charCodeAt(to) === SLASH) {
    const per = readWord(line, to + 1, end)
    if (per > to + 1 && wordKind === PLAIN && UNITS.has(line.slice(to + 1, per))) to = per
  }
  return to
}

/** Rule 7. Chunks are equal when they differ only in a separator at the end. */
function withoutRepeats(key: string): string {
  const chunks = key.split(' ')
  if (chunks.length < 3 || chunks.length > 400) return key
  const bare = chunks.map(withoutSeparator)
  const kept: string[] = []
  let at = 0
  let dropped = false
  while (at < chunks.length) {
    let size = 1
    let times = 1
    for (; size <= 4; size++) {
      times = repeats(bare, at, size)
      if (times >= 3 && bare.slice(at, at + size).some(isVariable)) break
    }
    if (size > 4) {
      kept.push(chunks[at]!)
      at++
      continue
    }
    for (let i = 0; i < size; i++) kept.push(bare[at + i]!)
    at += size * times
    dropped = true
  }
  return dropped ? kept.join(' ') : key
}

function repeats(chunks: readonly string[], at: number, size: number): number {
  let times = 1
  for (let next = at + size; next + size <= chunks.length; next += size, times++) {
    for (let i = 0; i < size; i++) if (chunks[next + i] !== chunks[at + i]) return times
  }
  return times
}

function isVariable(chunk: string): boolean {
  return chunk.includes(WILD)
}

function withoutSeparator(chunk: string): string {
  return chunk.endsWith(',') || chunk.endsWith(';') ? chunk.slice(0, -1) : chunk
}
