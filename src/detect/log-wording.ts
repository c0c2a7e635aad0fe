/** What is said of log lines, and what a line says of itself. Text from outside is cut and never trusted. */

const EXAMPLE_CHARS = 200
const SUBJECT_CHARS = 140
const ERROR = 17
const TROUBLE = ['error', 'exception', 'fail', 'fatal', 'panic', 'refused', 'timeout', 'timed out', 'denied', 'out of memory']

/** The beginning of a line, as a string of its own: a slice would keep the whole line alive. Control characters become spaces. */
export function clipped(text: string): string {
  const cut = text.length > EXAMPLE_CHARS ? `${text.slice(0, EXAMPLE_CHARS - 1)}…` : text
  let clean = ''
  for (let i = 0; i < cut.length; i++) clean += cut.charCodeAt(i) < 32 ? ' ' : cut[i]
  return Buffer.from(clean.trim(), 'utf8').toString('utf8')
}

export function shortened(text: string): string {
  return text.length > SUBJECT_CHARS ? `${text.slice(0, SUBJECT_CHARS - 1)}…` : text
}

/** Many senders name no severity; the line itself often does. */
export function guessedSeverity(text: string): number {
  const lower = text.toLowerCase()
  return TROUBLE.some((word) => lower.includes(word)) ? ERROR : 0
}

export function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}
