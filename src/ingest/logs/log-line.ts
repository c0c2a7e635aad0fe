/**
 * Takes a log line apart: message, level and trace id out of JSON and logfmt lines. Works on the bytes of the line and makes strings of what is
 * kept only. A line that only looks structured is a plain line. Linear in the length of the line; what it cannot read it leaves as it is.
 */
import { cleanText } from '../wire/clean-text.ts'
import { JsonFields, JsonKind, NameTable, isHex } from '../wire/json-fields.ts'
import { LogfmtFields, isSpace, withoutEscapes } from '../wire/logfmt-fields.ts'
import { severityOfLevel, severityOfOtel, severityOfSyslog } from './severity.ts'

export interface LineParts {
  body: string
  /** Of its level field; 0 when it has none. */
  severity: number
  /** Lower-case hex, '' when the line has none. */
  traceId: string
}

const MESSAGE_FIELDS = ['msg', 'message', 'MESSAGE', '@message', 'short_message', 'log', 'event', 'text', 'body']
const LEVEL_FIELDS = [
  'level',
  'severity',
  'lvl',
  'loglevel',
  'log_level',
  'log.level',
  'levelname',
  'severity_text',
  'severityText',
  'detected_level',
]
/** journald's, on the scale of syslog, and OpenTelemetry's own. */
const SCALED_FIELDS = ['PRIORITY', 'severity_number']
const TRACE_FIELDS = ['trace_id', 'traceId', 'traceID', 'traceid', 'trace.id', 'otelTraceID', 'trace']
const ERROR_FIELDS = ['err', 'error', 'exception']
const MAX_ERROR_CHARS = 300
const STRETCH_BYTES = 32 * 1024
/** A bit of this is set in four bytes of which one is not ASCII. */
const ASCII_OVER = 0x80808080 | 0

const NAMES = [...MESSAGE_FIELDS, ...LEVEL_FIELDS, ...SCALED_FIELDS, ...TRACE_FIELDS, ...ERROR_FIELDS]
const TABLE = new NameTable(NAMES)
const FIRST_LEVEL = MESSAGE_FIELDS.length
const FIRST_TRACE = FIRST_LEVEL + LEVEL_FIELDS.length + SCALED_FIELDS.length
const FIRST_ERROR = FIRST_TRACE + TRACE_FIELDS.length
const MESSAGES = TABLE.maskOf(MESSAGE_FIELDS)
const LEVELS = TABLE.maskOf([...LEVEL_FIELDS, ...SCALED_FIELDS])
const TRACES = TABLE.maskOf(TRACE_FIELDS)
const ERRORS = TABLE.maskOf(ERROR_FIELDS)
const LOG = TABLE.names.indexOf('log')
const PRIORITY = FIRST_LEVEL + LEVEL_FIELDS.length
const GELF = TABLE.maskOf(['short_message'])
/** A line of pairs is a logfmt line when it has one of these. */
const LOGFMT = TABLE.maskOf(['level', 'lvl', 'severity', 'msg'])

/** Reused for each line: read what it holds before the next one. */
export class LineReader implements LineParts {
  body = ''
  severity = 0
  traceId = ''
  readonly #json = new JsonFields(NAMES)
  readonly #innerJson = new JsonFields(NAMES)
  readonly #nested = new JsonFields(['level', 'message'])
  readonly #logfmt = new LogfmtFields(TABLE)
  #bytes: Buffer = Buffer.alloc(0)
  #view: DataView = new DataView(new ArrayBuffer(0))
  /** Bytes of the body as Latin-1, and which. */
  #stretch = ''
  #stretchFrom = 0
  #stretchTo = 0
  /** A line that came as text, and the one that it wraps, as bytes. */
  #outer = Buffer.alloc(4096)
  #inner = Buffer.alloc(4096)

  /** A line that is text already. */
  readText(line: string): void {
    const text = line.trimEnd()
    if (text.charCodeAt(0) !== 0x7b && !text.includes('=')) {
      this.#plain(text)
      return
    }
    this.#outer = roomFor(text, this.#outer)
    this.#read(this.#outer, 0, this.#outer.write(text), text)
  }

  /**
   * Before the lines of a body are read. Pieces of ASCII are cut out of strings that hold a stretch of it, which costs no call; what comes out
   * keeps such a stretch alive, so it is for batches, which go soon.
   */
  begin(bytes: Buffer): void {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#stretch = ''
    this.#stretchFrom = this.#stretchTo = 0
  }

  /** A line of the body that was begun. */
  readBytes(from: number, end: number): void {
    const bytes = this.#bytes
    let to = end
    while (to > from && isSpace(bytes[to - 1]!)) to--
    // White space beyond ASCII is rare and a matter for strings.
    if (to > from && bytes[to - 1]! >= 0x80) this.readText(bytes.toString('utf8', from, to))
    else this.#read(bytes, from, to, undefined)
  }

  #read(bytes: Buffer, from: number, to: number, known: string | undefined): void {
    if (bytes[from] === 0x7b && to > from) {
      if (bytes[to - 1] === 0x7d && this.#json.scan(bytes, from, to)) {
        this.#fromJson(this.#json, bytes, from, to, 1)
        return
      }
    }
    const text = known ?? this.#text(bytes, from, to)
    if (bytes[from] !== 0x7b && text.includes('=')) {
      this.#logfmt.scan(bytes, from, to)
      if (this.#logfmt.pairs > 1 && (this.#logfmt.found & LOGFMT) !== 0) {
        this.#fromLogfmt(text, bytes)
        return
      }
    }
    this.#plain(text)
  }

  #plain(text: string): void {
    this.body = text
    this.severity = 0
    this.traceId = ''
  }

  #fromJson(json: JsonFields, bytes: Buffer, from: number, to: number, unwraps: number): void {
    const { found } = json
    const severity = (found & (LEVELS | (1 << LOG))) === 0 ? 0 : this.#jsonSeverity(json, bytes)
    const traceId = (found & TRACES) === 0 ? '' : this.#jsonTraceId(json, bytes)
    let message = ''
    if ((found & MESSAGES) !== 0) {
      for (let slot = 0; slot < FIRST_LEVEL && message === ''; slot++)
        if ((found & (1 << slot)) !== 0) message = this.#stringAt(json, slot, bytes)
    }
    if (message === '') this.body = this.#text(bytes, from, to)
    // A container runtime wraps the line of the program, which may be structured itself.
    else if (unwraps > 0 && message.charCodeAt(0) === 0x7b && this.#unwrap(message.trimEnd())) {
      this.severity ||= severity
      this.traceId ||= traceId
      return
    } else {
      message = message.trimEnd()
      this.body = (found & ERRORS) === 0 ? message : this.#withJsonError(message, json, bytes)
    }
    this.severity = severity
    this.traceId = traceId
  }

  #unwrap(message: string): boolean {
    this.#inner = roomFor(message, this.#inner)
    const length = this.#inner.write(message)
    if (!this.#innerJson.scan(this.#inner, 0, length)) return false
    this.#fromJson(this.#innerJson, this.#inner, 0, length, 0)
    return true
  }

  #jsonSeverity(json: JsonFields, bytes: Buffer): number {
    const { found } = json
    for (let slot = FIRST_LEVEL; slot < FIRST_TRACE; slot++) {
      if ((found & (1 << slot)) === 0) continue
      const level = json.number(slot, bytes) ?? (json.kind[slot]! <= JsonKind.escaped ? this.#stringAt(json, slot, bytes) : '')
      const severity = severityOfSlot(slot, level, (found & GELF) !== 0)
      if (severity !== 0) return severity
    }
    if ((found & (1 << LOG)) === 0 || json.kind[LOG] !== JsonKind.object) return 0
    const nested = this.#nested
    nested.scan(bytes, json.from[LOG]!, json.to[LOG]!)
    return severityOfLevel(nested.text(0, bytes) ?? nested.number(0, bytes))
  }

  /** `request failed` alone names nothing: what failed stands beside it. */
  #withJsonError(message: string, json: JsonFields, bytes: Buffer): string {
    for (let slot = FIRST_ERROR; slot < NAMES.length; slot++) {
      if ((json.found & (1 << slot)) === 0) continue
      let text = this.#stringAt(json, slot, bytes)
      if (json.kind[slot] === JsonKind.object) {
        this.#nested.scan(bytes, json.from[slot]!, json.to[slot]!)
        text = this.#nested.text(1, bytes) ?? ''
      }
      if (text !== '') return withError(message, text)
    }
    return message
  }

  #fromLogfmt(line: string, bytes: Buffer): void {
    const fields = this.#logfmt
    const { found } = fields
    this.severity = 0
    for (let slot = FIRST_LEVEL; slot < FIRST_TRACE && this.severity === 0; slot++) {
      if ((found & LEVELS & (1 << slot)) === 0) continue
      this.severity = severityOfSlot(slot, this.#logfmtText(slot, bytes), false)
    }
    this.traceId = ''
    for (let slot = FIRST_TRACE; slot < FIRST_ERROR && this.traceId === ''; slot++)
      if ((found & (1 << slot)) !== 0) this.traceId = this.#traceIdAt(bytes, fields.from[slot]!, fields.to[slot]!)
    let message = ''
    for (let slot = 0; slot < FIRST_LEVEL && message === ''; slot++) {
      if ((found & (1 << slot)) !== 0) message = this.#logfmtText(slot, bytes)
    }
    if (message === '') {
      this.body = line
      return
    }
    this.body = message.trimEnd()
    if ((found & ERRORS) === 0) return
    for (let slot = FIRST_ERROR; slot < NAMES.length; slot++) {
      const text = (found & (1 << slot)) === 0 ? '' : this.#logfmtText(slot, bytes)
      if (text === '') continue
      this.body = withError(this.body, text)
      return
    }
  }

  #logfmtText(slot: number, bytes: Buffer): string {
    const text = this.#text(bytes, this.#logfmt.from[slot]!, this.#logfmt.to[slot]!)
    return this.#logfmt.isEscaped(slot) ? withoutEscapes(text) : text
  }

  /** Bytes of any kind as text. */
  #text(bytes: Buffer, from: number, to: number): string {
    if (bytes !== this.#bytes || !this.#isAscii(from, to)) return bytes.toString('utf8', from, to)
    return this.#piece(bytes, from, to)
  }

  /** Bytes that are ASCII as text. */
  #piece(bytes: Buffer, from: number, to: number): string {
    if (bytes !== this.#bytes || to - from > STRETCH_BYTES) return bytes.toString('latin1', from, to)
    if (from < this.#stretchFrom || to > this.#stretchTo) {
      this.#stretchFrom = from
      this.#stretchTo = Math.min(from + STRETCH_BYTES, bytes.length)
      this.#stretch = bytes.toString('latin1', from, this.#stretchTo)
    }
    return this.#stretch.slice(from - this.#stretchFrom, to - this.#stretchFrom)
  }

  #isAscii(from: number, to: number): boolean {
    const view = this.#view
    let at = from
    for (; at + 4 <= to; at += 4) if ((view.getInt32(at, true) & ASCII_OVER) !== 0) return false
    for (; at < to; at++) if (view.getUint8(at) >= 0x80) return false
    return true
  }

  #traceIdAt(bytes: Buffer, from: number, to: number): string {
    const kind = hexKind(bytes, from, to)
    if (kind === 0) return ''
    const text = this.#piece(bytes, from, to)
    return kind === 1 ? text : text.toLowerCase()
  }

  #jsonTraceId(json: JsonFields, bytes: Buffer): string {
    for (let slot = FIRST_TRACE; slot < FIRST_ERROR; slot++) {
      if ((json.found & (1 << slot)) === 0) continue
      const kind = json.kind[slot]
      let id = ''
      if (kind === JsonKind.plain) id = this.#traceIdAt(bytes, json.from[slot]!, json.to[slot]!)
      else if (kind === JsonKind.escaped) id = traceIdOf(json.text(slot, bytes))
      if (id !== '') return id
    }
    return ''
  }

  /** Of a string field; '' where it is something else. */
  #stringAt(json: JsonFields, slot: number, bytes: Buffer): string {
    if (json.kind[slot] === JsonKind.plain) return this.#piece(bytes, json.from[slot]!, json.to[slot]!)
    return json.text(slot, bytes) ?? ''
  }
}

const reader = new LineReader()

/** The parts of one line, to keep. */
export function readLine(line: string): LineParts {
  reader.readText(line)
  const { body, severity, traceId } = reader
  return { body, severity, traceId }
}

/** Of labels or structured metadata. `severity_number` is OpenTelemetry's, which collectors pass on. */
export function severityOfFields(pairs: readonly (readonly [name: string, value: string])[]): number {
  for (let i = 0; i < pairs.length; i++) {
    const [name, value] = pairs[i]!
    let severity = 0
    if (name === 'severity_number') severity = severityOfOtel(Number(value))
    else if (LEVEL_FIELDS.includes(name)) severity = severityOfLevel(value)
    if (severity !== 0) return severity
  }
  return 0
}

export function traceIdOfFields(pairs: readonly (readonly [name: string, value: string])[]): string {
  for (let i = 0; i < pairs.length; i++) {
    const id = TRACE_FIELDS.includes(pairs[i]![0]) ? traceIdOf(pairs[i]![1]) : ''
    if (id !== '') return id
  }
  return ''
}

/** A trace id as it is written anywhere: 16 or 32 hex digits, not all zero; else ''. */
export function traceIdOf(value: unknown): string {
  return typeof value === 'string' && /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i.test(value) && !/^0+$/.test(value) ? value.toLowerCase() : ''
}

/** 0: no trace id; 1: one in lower case; 2: one with capitals. */
function hexKind(bytes: Uint8Array, from: number, to: number): 0 | 1 | 2 {
  if (to - from !== 32 && to - from !== 16) return 0
  let isZero = true
  let hasCapitals = false
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    if (!isHex(byte)) return 0
    if (byte !== 0x30) isZero = false
    if (byte >= 0x41 && byte <= 0x46) hasCapitals = true
  }
  return isZero ? 0 : hasCapitals ? 2 : 1
}

function severityOfSlot(slot: number, level: string | number, isGelf: boolean): number {
  if (level === '') return 0
  if (slot === PRIORITY) return severityOfSyslog(Number(level))
  if (slot === PRIORITY + 1) return severityOfOtel(Number(level))
  return isGelf && typeof level === 'number' && level < 8 ? severityOfSyslog(level) : severityOfLevel(level)
}

function withError(message: string, error: string): string {
  const firstLine = cleanText(error.split('\n', 1)[0]!, MAX_ERROR_CHARS)
  return message.includes(firstLine) ? message : `${message}: ${firstLine}`
}

function roomFor(text: string, buffer: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
  return text.length * 3 <= buffer.length ? buffer : Buffer.alloc(text.length * 3)
}
