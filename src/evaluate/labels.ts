/**
 * What somebody called wrong, by the file or service it is about: JSON as NAB's combined_windows, `{"cpu.csv": [["start", "end"], …]}`, or
 * CSV, `cpu.csv,start,end` on each line, with or without a header. Times as in the history; both ends belong to it. What cannot be read
 * is named with its place, as a PermanentError.
 */
import { messageOf, PermanentError } from '../errors.ts'
import type { Stretch } from './events.ts'
import { clip, readLines, timeOf, TIMES, unquoted } from './history.ts'

export interface Label {
  readonly name: string
  readonly stretch: Stretch
  /** Where it stands in the file of labels, for messages. */
  readonly where: string
}

export function readLabels(file: string): Label[] {
  const lines = readLines(file, `--labels ${file}`)
  const text = lines.join('\n')
  return /^\s*\{/.test(text) ? fromJson(text, file) : fromCsv(lines, file)
}

/**
 * The labels of each of the names, each of which has at least an empty list. A name may be written without its ending or its folders as long as
 * that means one of them. Refuses labels of what is not there.
 */
export function labelsByName(labels: readonly Label[], names: readonly string[]): Map<string, Label[]> {
  const found = new Map<string, Label[]>(names.map((name) => [name, []]))
  for (const label of labels) found.get(nameMeant(label.name, names, label.where))!.push(label)
  return found
}

/** What they say, in order of time. Refuses those that lie beside what is known of the thing they are about: mostly the wrong zone. */
export function stretchesIn(labels: readonly Label[], name: string, [fromMs, toMs]: Stretch): Stretch[] {
  for (const { stretch, where } of labels) {
    if (stretch[1] < fromMs || stretch[0] > toMs)
      throw new PermanentError(
        `${where}: ${iso(stretch[0])} to ${iso(stretch[1])} lies outside of ${name}, which goes from ${iso(fromMs)} to ${iso(toMs)}`,
      )
  }
  return labels.map((label) => label.stretch).sort((a, b) => a[0] - b[0])
}

function nameMeant(name: string, names: readonly string[], where: string): string {
  if (names.includes(name)) return name
  const bare = (text: string) => text.replace(/\.csv(\.gz)?$/i, '')
  const alike = names.filter((known) => bare(known) === bare(name) || bare(known).endsWith(`/${bare(name)}`))
  if (alike.length === 1) return alike[0]!
  if (alike.length > 1) throw new PermanentError(`${where}: ${clip(name)} may be ${alike.slice(0, 5).join(', ')}: write which`)
  const some = names.slice(0, 5).join(', ')
  throw new PermanentError(
    `${where}: there is no ${clip(name)} in the data; there is ${some}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`,
  )
}

function fromJson(text: string, file: string): Label[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw new PermanentError(`--labels ${file} is not JSON: ${messageOf(error)}`, { cause: error })
  }
  return Object.entries(parsed as Record<string, unknown>).flatMap(([name, windows]) => {
    if (!Array.isArray(windows)) throw new PermanentError(`${file}, ${clip(name)}: needs a list of [start, end]`)
    return windows.map((window: unknown, i): Label => {
      const where = `${file}, ${clip(name)}, number ${i + 1}`
      if (!Array.isArray(window) || window.length !== 2)
        throw new PermanentError(`${where}: is no [start, end]: ${clip(JSON.stringify(window))}`)
      return { name, stretch: stretchOf(String(window[0]), String(window[1]), where), where }
    })
  })
}

function fromCsv(lines: readonly string[], file: string): Label[] {
  const labels: Label[] = []
  let begun = false
  lines.forEach((line, i) => {
    if (line.trim() === '' || line.startsWith('#')) return
    const where = `${file}, line ${i + 1}`
    const cells = line.split(',').map(unquoted)
    const [name = '', start = '', end = ''] = cells
    const isHeader = !begun && timeOf(start) === undefined && timeOf(end) === undefined
    begun = true
    if (isHeader && cells.length === 3) return
    if (cells.length !== 3 || name === '') throw new PermanentError(`${where}: needs what it is about, start and end: ${clip(line)}`)
    labels.push({ name, stretch: stretchOf(start, end, where), where })
  })
  return labels
}

function stretchOf(start: string, end: string, where: string): Stretch {
  const [startMs, endMs] = [start, end].map((text) => {
    const timeMs = timeOf(text.trim())
    if (timeMs === undefined) throw new PermanentError(`${where}: ${clip(text)} is no time: ${TIMES}`)
    return timeMs
  }) as [number, number]
  if (endMs < startMs) throw new PermanentError(`${where}: ends before it starts`)
  return [startMs, endMs]
}

const iso = (timeMs: number): string => new Date(timeMs).toISOString()
