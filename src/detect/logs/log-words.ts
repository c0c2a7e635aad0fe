/**
 * Words that mean the same in everybody's logs: units, dates, names that have digits in them, the words of a statement as against the names
 * of things in it. English and general: nothing here belongs to one program. Looked up only where the scan has found a candidate.
 */

/** Words with a digit in them that are names all the same. */
const KNOWN = words(
  'ipv4 ipv6 IPv4 IPv6 sha1 sha256 sha512 SHA1 SHA256 SHA512 md5 MD5 utf8 utf-8 UTF8 UTF-8 utf16 base64 Base64 x86 x86_64 amd64 arm64 i386 http1 http2 ' +
    'HTTP2 h2 h2c s3 S3 ec2 EC2 k8s K8s oauth2 OAuth2 x509 X509 X.509 log4j l2 l3 L1 L2 L3 L4 L7 p50 p95 p99 v1 v2 v3 int8 int16 int32 int64 uint8 uint32 uint64 ' +
    'float32 float64 pbkdf2 ed25519 http3 ext4 gzip2 bzip2 lz4 i18n e2e 2xx 3xx 4xx 5xx 2PC',
)
/** Per first and per last character the lengths of known words, as bits: a filter without a look-up. */
const KNOWN_FIRST = new Uint16Array(128)
const KNOWN_LAST = new Uint16Array(128)
const KNOWN_LONGEST = 15
for (const word of KNOWN) {
  KNOWN_FIRST[word.charCodeAt(0)]! |= 1 << word.length
  KNOWN_LAST[word.charCodeAt(word.length - 1)]! |= 1 << word.length
}

const UNITS = words(
  'ns us µs ms msec msecs millis millisecond milliseconds microseconds nanoseconds s sec secs second seconds m min mins minute minutes h hr hrs hour hours d day days ' +
    'b B byte bytes Byte Bytes bit bits k K kb kB KB Kb KiB kib m M mb mB MB Mb MiB mib g G gb GB Gb GiB gib t T tb TB TiB tib PB PiB bps kbps Kbps Mbps mbps Gbps gbps Bps ' +
    'rps qps tps Hz kHz KHz MHz GHz % percent',
)

const DAYS = words('Mon Tue Wed Thu Fri Sat Sun Monday Tuesday Wednesday Thursday Friday Saturday Sunday')
const MONTHS = words(
  'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC ' +
    'January February March April June July August September October November December',
)
const AFTER_TIME = words('AM PM am pm UTC GMT CET CEST EST EDT CST CDT MST MDT PST PDT BST IST JST')
const LONGEST_MONTH = 9

/** RFC 9110 section 9, and PATCH. */
const METHODS = words('GET POST PUT DELETE HEAD PATCH OPTIONS CONNECT TRACE')

/** What names of hosts end in and names of packages begin with, beside the two letters of a country. */
const ROOTS = words('com org net edu gov mil io info biz dev app cloud local internal localdomain lan arpa svc example test invalid')

/** Words that say what happened, in which state or which way: not one of many things it happened to. */
const STATEMENT = words(
  'get post put delete head patch options connect trace up down on off in out to from for by with of at is was are not no and or the a an start stop begin end ' +
    'enter exit open close success failure succeed fail failed ok error warn warning info debug fatal critical notice enable disable active inactive idle ready busy ' +
    'running stopped pending complete done yes true false none null unknown read write send receive lock unlock acquire release alloc free add remove create destroy load ' +
    'unload master slave leader follower primary secondary client server remote online offline high low min max first last old new before after left right request',
)
/** Words after which comes the name of somebody or of a machine. */
const INTRODUCTIONS = words('user username account login host hostname')

export function isKnownWord(line: string, at: number, end: number): boolean {
  const length = end - at
  if (length > KNOWN_LONGEST) return false
  const first = line.charCodeAt(at)
  const last = line.charCodeAt(end - 1)
  if (first > 127 || last > 127 || !(((KNOWN_FIRST[first]! & KNOWN_LAST[last]!) >> length) & 1)) return false
  return KNOWN.has(line.slice(at, end))
}

export function isUnit(word: string): boolean {
  return UNITS.has(word)
}

export function isMethod(word: string): boolean {
  return METHODS.has(word)
}

/** Whether the word between `at` and `to` is part of a date: `Sun Nov 6`, `6 Nov`, `10:15 UTC`. `isAfterNumber`: one stands right before it. */
export function isDateWord(line: string, at: number, to: number, end: number, isAfterNumber: boolean): boolean {
  const length = to - at
  if (length < 2 || length > LONGEST_MONTH) return false
  const first = line.charCodeAt(at)
  if ((first < 65 || first > 90) && !(isAfterNumber && length === 2)) return false
  const word = line.slice(at, to)
  if (isAfterNumber && (MONTHS.has(word) || AFTER_TIME.has(word))) return true
  const isDay = DAYS.has(word)
  if (!isDay && !MONTHS.has(word)) return false
  let next = to
  if (isDay && line.charCodeAt(next) === 44) next++
  while (next < end && line.charCodeAt(next) === 32) next++
  if (next >= end) return false
  const code = line.charCodeAt(next)
  return (code >= 48 && code <= 57) || (isDay && MONTHS.has(line.slice(next, next + 3)))
}

/** A word with two dots or more: the name of a host, a package or a class. `java.vendor.url` is none, and `IOException` or `SCREEN_ON` at its end say what happened. */
export function isDottedName(word: string): boolean {
  const last = word.slice(word.lastIndexOf('.') + 1)
  if (last.endsWith('Exception') || last.endsWith('Error') || isConstant(last)) return false
  if (ROOTS.has(last) || ROOTS.has(word.slice(0, word.indexOf('.')))) return true
  // Country codes, but not `job.id`.
  if (last.length === 2) return last !== 'id'
  const head = last.charCodeAt(0)
  return head >= 65 && head <= 90
}

/** Whether all varying values that are like this one may be states or actions. */
export function isStatementWord(bare: string): boolean {
  return STATEMENT.has(bare) || bare.endsWith('ed') || bare.endsWith('ing')
}

/** A request line in quotes is not the name of anything. */
export function holdsStatement(text: string): boolean {
  return text.includes(' ') && text.split(/[^A-Za-z]+/).some((word) => STATEMENT.has(word.toLowerCase()))
}

export function introducesName(bare: string): boolean {
  return INTRODUCTIONS.has(bare)
}

function isConstant(word: string): boolean {
  const last = word.charCodeAt(word.length - 1)
  const before = word.charCodeAt(word.length - 2)
  return last >= 65 && last <= 90 && (before === 95 || (before >= 65 && before <= 90))
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(' '))
}
