/**
 * Stack traces, which programs of every language write over many lines: what was thrown in a text that holds a whole trace, and which lines
 * that come one by one belong to the line before them. By general shape, without a regular expression and without memory.
 */

const TAB = 9
const SPACE = 32
const DOT = 46
const COLON = 58
/** Of a text that holds a trace, so much is searched for what was thrown. */
const LINES_SEARCHED = 40
const CHARS_SEARCHED = 4096
const LONGEST_TYPE = 120
/** An indent that no line of its own begins with. */
const INDENT = 4

/**
 * The type of the exception in the lines after the first one, which ends at `newline`; '' when there is none, or when the first line names it.
 * Java, .NET and Node write it at the beginning of a line before the frames, Python after them.
 */
export function faultIn(text: string, newline: number): string {
  if (holdsFault(text, 0, newline)) return ''
  const end = Math.min(text.length, newline + CHARS_SEARCHED)
  let at = newline + 1
  for (let line = 0; line < LINES_SEARCHED && at < end; line++) {
    const code = text.charCodeAt(at)
    if (code !== SPACE && code !== TAB) {
      const type = faultAt(text, at, end)
      if (type !== '') return type
    }
    const next = text.indexOf('\n', at)
    if (next < 0) break
    at = next + 1
  }
  return ''
}

/** A line of its own; one that is indented, as a source line in a trace is, and a lot else; one that only a trace has. */
const OWN_LINE = 0
export const INDENTED = 1
export const FRAME = 2

/** What the line would be if a trace were open. */
export function traceKind(line: string): number {
  const first = line.charCodeAt(0)
  if (first === TAB || first === SPACE) {
    let at = 1
    while (at < line.length && (line.charCodeAt(at) === SPACE || line.charCodeAt(at) === TAB)) at++
    if (line.startsWith('at ', at) ? isPlace(line, at + 3) : line.startsWith('File "', at) || line.startsWith('... ', at)) return FRAME
    return first === TAB || at >= INDENT ? INDENTED : OWN_LINE
  }
  switch (first) {
    case 67: // C
      return line.startsWith('Caused by: ') ? FRAME : OWN_LINE
    case 83: // S
      return line.startsWith('Suppressed: ') ? FRAME : OWN_LINE
    case 84: // T
      return line.startsWith('Traceback (most recent call last)') ? FRAME : OWN_LINE
    case 103: // g
      return line.startsWith('goroutine ') && line.endsWith(']:') ? FRAME : OWN_LINE
    case 99: // c
      return line.startsWith('created by ') && line.includes('.') ? FRAME : OWN_LINE
    case 45: // -
      return line.startsWith('--- End of ') ? FRAME : OWN_LINE
    default:
      return isCall(line) ? FRAME : OWN_LINE
  }
}

/** What follows `at `: a method, a file, `<anonymous>`; not `10:15 the job began`. */
function isPlace(line: string, from: number): boolean {
  for (let at = from; at < line.length; at++) {
    const code = line.charCodeAt(at)
    if (code === DOT || code === 40 || code === 47 || code === 60 || code === 92) return true
  }
  return false
}

/** `main.(*server).handle(0xc000, …)`, as Go names the function of a frame: one word and its arguments, which are addresses. */
function isCall(line: string): boolean {
  if (!line.endsWith(')')) return false
  const open = line.lastIndexOf('(')
  const space = line.indexOf(' ')
  if (open <= 0 || (space >= 0 && space < open) || !line.includes('.')) return false
  if (open + 2 === line.length) return line.startsWith('main.') || line.startsWith('runtime.')
  return line.startsWith('0x', open + 1) || line.startsWith('...', open + 1) || line.startsWith('{0x', open + 1)
}

function holdsFault(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at)
    if (code <= SPACE || code === COLON) continue
    const end = typeEnd(text, at, to)
    if (isFaultName(text, at, end)) return true
    at = end
  }
  return false
}

/** The type at the beginning of a line: `java.io.IOException: reset`, `ValueError`, `Unhandled exception. System.X: …`. */
function faultAt(text: string, at: number, end: number): string {
  let from = at
  for (const before of ['Caused by: ', 'Unhandled exception. ']) if (text.startsWith(before, at)) from += before.length
  const to = typeEnd(text, from, end)
  const code = to < text.length ? text.charCodeAt(to) : COLON
  return (code === COLON || code <= SPACE) && isFaultName(text, from, to) ? text.slice(from, to) : ''
}

function typeEnd(text: string, at: number, end: number): number {
  let to = at
  for (; to < end; to++) {
    const code = text.charCodeAt(to)
    const isLetter = (code >= 65 && code <= 90) || (code >= 97 && code <= 122)
    if (!isLetter && !(code >= 48 && code <= 57) && code !== DOT && code !== 95 && code !== 36) break
  }
  return to
}

function isFaultName(text: string, at: number, to: number): boolean {
  const length = to - at
  if (length < 5 || length > LONGEST_TYPE) return false
  // `Error` alone is what Node throws; `error` is a word.
  return text.startsWith('Error', to - 5) || (length >= 9 && text.startsWith('Exception', to - 9))
}
