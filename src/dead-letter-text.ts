/** Dead letters as text for people at a terminal: whatever is in them, it obeys nothing and hides nothing. */
import type { Letter } from './dead-letters.ts'
import { shown } from './wording.ts'

const EXCERPT_BYTES = 1024
const HEX_BYTES = 256

function cut(text: string, chars: number): string {
  return text.length <= chars ? text : `${text.slice(0, chars - 1)}…`
}

export function timeText(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : 'an unknown time'
}

function originText({ topic, partition, offset, lastOffset }: Letter): string {
  return `${shown(topic)}/${partition}@${offset}${lastOffset > offset ? `–${lastOffset}` : ''}`
}

export function listText(letters: readonly Letter[]): string {
  if (letters.length === 0) return 'There are no dead letters.\n'
  const rows = letters.map((letter) => [
    letter.id,
    timeText(letter.timestampMs),
    shown(letter.reason),
    originText(letter),
    String(letter.valueBytes),
    letter.replayedMs === undefined ? '' : 'replayed',
    cut(shown(letter.error), 100),
  ])
  const table = [['ID', 'PUT ASIDE', 'REASON', 'FROM', 'BYTES', '', 'ERROR'], ...rows]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
  return table
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

export function letterText(letter: Letter): string {
  const headers = Object.entries(letter.headers)
  const lines: (readonly [string, string])[] = [
    ['id', letter.id],
    ['put aside', timeText(letter.timestampMs)],
    ['reason', shown(letter.reason)],
    ['error', shown(letter.error)],
    ['from', `${originText(letter)}${letter.originMs > 0 ? `, written ${timeText(letter.originMs)}` : ''}`],
    ['key', letter.key === '' ? '(none)' : shown(letter.key)],
    ['replayed', letter.replayedMs === undefined ? 'no' : timeText(letter.replayedMs)],
    ...headers.map(([name, value]) => ['header', `${shown(name)}: ${cut(shown(value), 500)}`] as const),
    ['value', valueHead(letter)],
  ]
  const width = Math.max(...lines.map(([name]) => name.length))
  return `${lines.map(([name, text]) => `${name.padEnd(width)}  ${text}\n`).join('')}${excerpt(letter.value)}\n`
}

function valueHead({ content, valueBytes }: Letter): string {
  if (content === 'left-out') return 'too large to be kept: it is in its topic as long as that keeps it'
  return `${valueBytes} bytes${content === 'record-batch' ? ", Kafka's record batch as it came" : ''}`
}

/** The beginning of it, as text where it is text, else in hexadecimal. */
function excerpt(value: Uint8Array): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const text = textOf(bytes.subarray(0, EXCERPT_BYTES))
  if (text !== undefined) {
    const rows = text.split(/\r?\n/).map((row) => `  ${shown(row)}\n`)
    return `${rows.join('')}${bytes.length > EXCERPT_BYTES ? '  …\n' : ''}`
  }
  const rows: string[] = []
  for (let at = 0; at < Math.min(bytes.length, HEX_BYTES); at += 16) {
    const row = bytes.subarray(at, at + 16)
    const hex = Array.from(row, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const letters = Array.from(row, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    rows.push(`  ${at.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${letters}\n`)
  }
  return `${rows.join('')}${bytes.length > HEX_BYTES ? '  …\n' : ''}`
}

/** Undefined: it is no text, or mostly control characters. A character that the cut goes through is no fault. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true })
    return (text.match(/(?![\t\n\r])\p{Cc}/gu)?.length ?? 0) * 20 > text.length ? undefined : text
  } catch (error) {
    if (error instanceof TypeError) return undefined
    throw error
  }
}
