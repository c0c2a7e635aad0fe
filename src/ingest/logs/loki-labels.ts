/**
 * Reads the labels of a Loki stream as they stand in its protobuf form: a selector, `{app="shop", path="C:\\logs"}`, with the string
 * escapes of Go. https://go.dev/ref/spec#String_literals
 */
import { DecodeError } from '../../errors.ts'

const SIMPLE: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
}

/** Of more than `maxLabels` one more is kept, so that there being too many is seen. */
export function parseLokiLabels(text: string, maxLabels: number): [name: string, value: string][] {
  const labels: [string, string][] = []
  let at = skipSpace(text, 0)
  if (text[at] !== '{') throw notLabels(at)
  at = skipSpace(text, at + 1)
  while (text[at] !== '}') {
    const nameEnd = endOfName(text, at)
    const name = text.slice(at, nameEnd)
    at = skipSpace(text, nameEnd)
    if (name === '' || text[at] !== '=') throw notLabels(at)
    at = skipSpace(text, at + 1)
    const end = endOfString(text, at)
    const quoted = text.slice(at + 1, end)
    if (labels.length <= maxLabels) labels.push([name, text[at] === '"' && quoted.includes('\\') ? unquote(quoted) : quoted])
    at = skipSpace(text, end + 1)
    if (text[at] === ',') at = skipSpace(text, at + 1)
    else if (text[at] !== '}') throw notLabels(at)
  }
  if (skipSpace(text, at + 1) !== text.length) throw notLabels(at + 1)
  return labels
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (at < text.length && (text[at] === ' ' || text[at] === '\t' || text[at] === '\n' || text[at] === '\r')) at++
  return at
}

function endOfName(text: string, from: number): number {
  let at = from
  while (at < text.length && !' \t\r\n=,{}"`'.includes(text[at]!)) at++
  return at
}

/** Index of the quote that ends the string that starts here. */
function endOfString(text: string, from: number): number {
  const quote = text[from]
  if (quote !== '"' && quote !== '`') throw notLabels(from)
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === quote) return at
    if (text[at] === '\\' && quote === '"') at++
  }
  throw notLabels(text.length)
}

function unquote(text: string): string {
  // \x and octal escapes are bytes of UTF-8, so the text is put together as bytes.
  const parts: Buffer[] = []
  let plain = ''
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '\\') {
      plain += text[at]
      continue
    }
    const kind = text[++at] ?? ''
    const simple = SIMPLE[kind]
    if (simple !== undefined) {
      plain += simple
      continue
    }
    const match = (ESCAPES[kind] ?? OCTAL).exec(text.slice(at, at + 9))
    if (match === null) throw new DecodeError('bad-labels', `\\${kind} is not an escape that Go knows`)
    at += match[0].length - 1
    if (kind === 'u' || kind === 'U') {
      const code = Number.parseInt(match[1]!, 16)
      plain += code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? '\ufffd' : String.fromCodePoint(code)
    } else {
      parts.push(Buffer.from(plain), Buffer.of(Number.parseInt(match[1]!, kind === 'x' ? 16 : 8) & 0xff))
      plain = ''
    }
  }
  return parts.length === 0 ? plain : Buffer.concat([...parts, Buffer.from(plain)]).toString('utf8')
}

const OCTAL = /^([0-7]{3})/
const ESCAPES: Readonly<Record<string, RegExp>> = { x: /^x([0-9a-fA-F]{2})/, u: /^u([0-9a-fA-F]{4})/, U: /^U([0-9a-fA-F]{8})/ }

function notLabels(at: number): DecodeError {
  return new DecodeError('bad-labels', `the labels of a stream cannot be read at character ${at + 1}: expected {name="value", …}`)
}
