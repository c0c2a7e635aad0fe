/**
 * How columns of rows are written: each in the shortest of a few ways, found by looking at it once. Codes (indexes into a table, kinds,
 * flags) as a sequence, as runs or in as many bits as they need; times and durations as deltas in the coarsest unit that keeps every
 * bit; values as whole numbers or thousandths where they are; ids as bytes. What is read is checked: no index points outside its table.
 */
import type { ByteReader, ByteWriter } from './codec-bytes.ts'

/* ---- Codes */

/** 0, 1, 2, … */
const SEQUENCE = 100
const RUNS = 101
/** Codes of more bits are not packed; below it is the number of bits. */
const MAX_BITS = 24

/** Unsigned numbers below 2^24 of which many are alike. */
export function writeCodes(writer: ByteWriter, column: Uint8Array | Uint32Array | readonly number[], rows: number): void {
  if (rows === 0) return
  let all = 0
  let runs = 1
  let outOfOrder = column[0]!
  let before = column[0]!
  for (let i = 0; i < rows; i++) {
    const code = column[i]!
    all |= code
    outOfOrder |= code ^ i
    if (code !== before) runs++
    before = code
  }
  const bits = 32 - Math.clz32(all)
  if (bits > MAX_BITS) throw new RangeError(`a code of ${bits} bits`)
  if (outOfOrder === 0 && rows > 1) writer.byte(SEQUENCE)
  else if (runs * 2 < (rows * bits) / 8) {
    writer.byte(RUNS)
    for (let i = 0; i < rows;) {
      const code = column[i]!
      let end = i + 1
      while (end < rows && column[end] === code) end++
      writer.varint(code)
      writer.varint(end - i)
      i = end
    }
  } else {
    writer.byte(bits)
    if (bits > 0) writer.bytes(packed(column, rows, bits))
  }
}

function packed(column: Uint8Array | Uint32Array | readonly number[], rows: number, bits: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((rows * bits) / 8))
  let at = 0
  let held = 0
  let heldBits = 0
  for (let i = 0; i < rows; i++) {
    held |= column[i]! << heldBits
    heldBits += bits
    while (heldBits >= 8) {
      bytes[at++] = held
      held >>>= 8
      heldBits -= 8
    }
  }
  if (heldBits > 0) bytes[at] = held
  return bytes
}

export function readIndexes(reader: ByteReader, rows: number, tableRows: number): Uint32Array {
  const column = new Uint32Array(rows)
  readCodes(reader, column, tableRows)
  return column
}

export function readBytes(reader: ByteReader, rows: number): Uint8Array {
  const column = new Uint8Array(rows)
  readCodes(reader, column, 256)
  return column
}

/** Every code must be below `end`. */
export function readCodes(reader: ByteReader, column: Uint8Array | Uint32Array, end: number): void {
  const rows = column.length
  if (rows === 0) return
  const mode = reader.byte()
  let largest = 0
  if (mode === SEQUENCE) {
    for (let i = 0; i < rows; i++) column[i] = i
    largest = rows - 1
  } else if (mode === RUNS) {
    for (let at = 0; at < rows;) {
      const code = reader.varint()
      const length = reader.varint()
      if (length === 0 || length > rows - at) throw new RangeError(`a run of ${length} in ${rows - at} rows`)
      if (code > largest) largest = code
      column.fill(code, at, at + length)
      at += length
    }
  } else if (mode <= MAX_BITS) largest = unpack(reader, column, mode)
  else throw new RangeError(`an unknown way of writing codes: ${mode}`)
  if (largest >= end) throw new RangeError(`an index points to ${largest} of ${end}`)
}

/** Returns the largest. */
function unpack(reader: ByteReader, column: Uint8Array | Uint32Array, bits: number): number {
  const rows = column.length
  const bytes = reader.bytes(Math.ceil((rows * bits) / 8))
  const mask = (1 << bits) - 1
  let largest = 0
  let at = 0
  let held = 0
  let heldBits = 0
  for (let i = 0; i < rows; i++) {
    while (heldBits < bits) {
      held |= bytes[at++]! << heldBits
      heldBits += 8
    }
    const code = held & mask
    held >>>= bits
    heldBits -= bits
    column[i] = code
    if (code > largest) largest = code
  }
  return largest
}

/* ---- Times and durations */

/**
 * Parts of a millisecond that a column may be counted in: whole, micro- and nanoseconds, and 2^-12, the finest that a double
 * keeps of a time of this century.
 */
const UNITS = [1, 1e3, 1e6, 4096] as const
const AS_FLOATS = UNITS.length
const IN_RUNS = 8
const LIMIT = 2 ** 52

/** `deltas`: each counted from the one before it, for times; else from zero, for durations. */
export function writeTimes(writer: ByteWriter, column: Float64Array, deltas: boolean): void {
  const rows = column.length
  if (rows === 0) return
  const unit = UNITS.findIndex((perMs) => keeps(column, perMs, deltas))
  if (unit < 0) {
    writer.byte(AS_FLOATS)
    writer.floats(column)
    return
  }
  const perMs = UNITS[unit]!
  let runs = 1
  for (let i = 1; i < rows; i++) if (column[i] !== column[i - 1]) runs++
  const inRuns = runs * 2 < rows
  writer.byte(inRuns ? unit | IN_RUNS : unit)
  let before = deltas ? Math.round(column[0]! * perMs) : 0
  if (deltas) writer.float64(before)
  for (let i = 0; i < rows;) {
    const time = column[i]!
    const count = Math.round(time * perMs)
    writer.signed(count - before)
    if (deltas) before = count
    const start = i++
    if (!inRuns) continue
    while (i < rows && column[i] === time) i++
    writer.varint(i - start)
  }
}

/** Whether every time comes back with all its bits when counted in this unit. */
function keeps(column: Float64Array, perMs: number, deltas: boolean): boolean {
  let before = deltas ? Math.round(column[0]! * perMs) : 0
  for (let i = 0; i < column.length; i++) {
    const time = column[i]!
    const count = Math.round(time * perMs)
    if (!(Math.abs(count) <= Number.MAX_SAFE_INTEGER) || Math.abs(count - before) >= LIMIT) return false
    if (count / perMs !== time || (count === 0 && Object.is(time, -0))) return false
    if (deltas) before = count
  }
  return true
}

export function readTimes(reader: ByteReader, rows: number, deltas: boolean): Float64Array {
  if (rows === 0) return new Float64Array(0)
  const mode = reader.byte()
  if (mode === AS_FLOATS) return reader.floats(rows)
  const inRuns = (mode & IN_RUNS) !== 0
  const perMs = UNITS[mode & ~IN_RUNS]
  if (perMs === undefined) throw new RangeError(`an unknown way of writing times: ${mode}`)
  const column = new Float64Array(rows)
  let before = deltas ? reader.float64() : 0
  for (let i = 0; i < rows;) {
    const count = before + reader.signed()
    if (deltas) before = count
    const time = count / perMs
    if (inRuns) {
      const length = reader.varint()
      if (length === 0 || length > rows - i) throw new RangeError(`a run of ${length} in ${rows - i} rows`)
      column.fill(time, i, i + length)
      i += length
    } else column[i++] = time
  }
  return column
}

/* ---- Values */

/** The same as the one before, or 0 at the first. */
const SAME = 0
const WHOLE = 1
const THOUSANDTHS = 2
const FLOAT = 3
const NOT_A_NUMBER = 4
const VALUE_KINDS = 5

/** NaN comes back as NaN, whatever its payload. */
export function writeValues(writer: ByteWriter, column: Float64Array): void {
  const rows = column.length
  const kinds = new Uint8Array(rows)
  let before = 0
  for (let i = 0; i < rows; i++) {
    const value = column[i]!
    kinds[i] = value === before && (value !== 0 || Object.is(value, before)) ? SAME : kindOf(value)
    before = value
  }
  writeCodes(writer, kinds, rows)
  for (let i = 0; i < rows; i++) {
    const kind = kinds[i]!
    if (kind === WHOLE) writer.signed(column[i]!)
    else if (kind === THOUSANDTHS) writer.signed(Math.round(column[i]! * 1000))
    else if (kind === FLOAT) writer.float64(column[i]!)
  }
}

function kindOf(value: number): number {
  const whole = Math.round(value)
  // Above 2^48 a varint is no shorter than a float.
  if (whole === value && Math.abs(value) < 2 ** 48 && (value !== 0 || Object.is(value, 0))) return WHOLE
  const thousandths = Math.round(value * 1000)
  if (thousandths / 1000 === value && Math.abs(thousandths) < 2 ** 48 && value !== 0) return THOUSANDTHS
  return Number.isNaN(value) ? NOT_A_NUMBER : FLOAT
}

export function readValues(reader: ByteReader, rows: number): Float64Array {
  const kinds = new Uint8Array(rows)
  readCodes(reader, kinds, VALUE_KINDS)
  const column = new Float64Array(rows)
  let value = 0
  for (let i = 0; i < rows; i++) {
    const kind = kinds[i]!
    if (kind === WHOLE) value = reader.signed()
    else if (kind === THOUSANDTHS) value = reader.signed() / 1000
    else if (kind === FLOAT) value = reader.float64()
    else if (kind === NOT_A_NUMBER) value = NaN
    column[i] = value
  }
  return column
}

/* ---- Ids */

const NO_ID = 0
const SAME_ID = 1
const HEX_ID = 2
const OTHER_ID = 3
const ID_KINDS = 4
/** Of a trace: https://www.w3.org/TR/trace-context/#trace-id. */
const MAX_ID_BYTES = 16
/** Ids turned into text at once. Each is a slice of that text and keeps it in memory, so it must not be long. */
const IDS_AT_ONCE = 32

const NIBBLES = new Int8Array(128).fill(-1)
for (let i = 0; i < 16; i++) NIBBLES[i.toString(16).charCodeAt(0)] = i

/** Lower-case hex ids of one length, none, the one before again; others as text. */
export function writeIds(writer: ByteWriter, column: readonly string[]): void {
  const rows = column.length
  const kinds = new Uint8Array(rows)
  const first = column.find((id) => id !== '') ?? ''
  const idBytes = first.length % 2 === 0 && first.length <= MAX_ID_BYTES * 2 ? first.length >>> 1 : 0
  const hex = new Uint8Array(rows * idBytes)
  let at = 0
  let before = ''
  for (let i = 0; i < rows; i++) {
    const id = column[i]!
    if (id === '') kinds[i] = NO_ID
    else if (id === before) kinds[i] = SAME_ID
    else if (id.length === idBytes * 2 && putHex(id, hex, at)) {
      kinds[i] = HEX_ID
      at += idBytes
    } else kinds[i] = OTHER_ID
    before = id
  }
  writeCodes(writer, kinds, rows)
  writer.varint(idBytes)
  writer.bytes(hex.subarray(0, at))
  for (let i = 0; i < rows; i++) if (kinds[i] === OTHER_ID) writer.text(column[i]!)
}

/** False when it is no lower-case hex. */
function putHex(id: string, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < id.length; i += 2) {
    const high = id.charCodeAt(i)
    const low = id.charCodeAt(i + 1)
    if ((high | low) > 127) return false
    const value = (NIBBLES[high]! << 4) | NIBBLES[low]!
    if (value < 0) return false
    bytes[at++] = value
  }
  return true
}

export function readIds(reader: ByteReader, rows: number): string[] {
  const kinds = new Uint8Array(rows)
  readCodes(reader, kinds, ID_KINDS)
  const idBytes = reader.varint()
  let hexIds = 0
  for (let i = 0; i < rows; i++) if (kinds[i] === HEX_ID) hexIds++
  if (idBytes === 0 && hexIds > 0) throw new RangeError('ids of no bytes')
  const hex = reader.bytes(idBytes * hexIds)
  const column: string[] = []
  let before = ''
  let text = ''
  let textAt = 0
  let hexAt = 0
  for (let i = 0; i < rows; i++) {
    const kind = kinds[i]!
    if (kind === NO_ID) before = ''
    else if (kind === HEX_ID) {
      if (textAt === text.length) {
        text = hex.toString('hex', hexAt, (hexAt += IDS_AT_ONCE * idBytes))
        textAt = 0
      }
      before = text.slice(textAt, (textAt += idBytes * 2))
    } else if (kind === OTHER_ID) before = reader.text()
    column.push(before)
  }
  return column
}

/* ---- Texts of a table */

/** A table of the texts that a column repeats, then which one each row has. */
export function writeRepeating(writer: ByteWriter, column: readonly string[]): void {
  const table = new Map<string, number>()
  const codes = new Uint32Array(column.length)
  for (let i = 0; i < column.length; i++) {
    const text = column[i]!
    let code = table.get(text)
    if (code === undefined) table.set(text, (code = table.size))
    codes[i] = code
  }
  writeTable(writer, [...table.keys()])
  writeCodes(writer, codes, codes.length)
}

export function readRepeating(reader: ByteReader, rows: number): string[] {
  const table = readTable(reader)
  const codes = readIndexes(reader, rows, table.length)
  const column: string[] = []
  for (let i = 0; i < rows; i++) column.push(table[codes[i]!]!)
  return column
}

export function writeTable(writer: ByteWriter, texts: readonly string[]): void {
  writer.varint(texts.length)
  let before = ''
  for (const text of texts) {
    writer.textAfter(text, before)
    before = text
  }
}

export function readTable(reader: ByteReader): string[] {
  const texts: string[] = []
  reader.startTexts()
  for (let left = reader.count(); left > 0; left--) {
    reader.textAfter()
    texts.push(reader.textBytes.toString('utf8', reader.textAt, reader.textEnd))
  }
  return texts
}
