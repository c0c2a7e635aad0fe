/**
 * Somebody's history as files: a folder of CSV files, a series each, `timestamp,value` with or without a header, gzip or not. Times are ISO 8601
 * (UTC where no zone is named) or seconds or milliseconds since 1970. A value that is empty or NaN is a row that was not measured. What cannot be
 * read is named with its file and line, as a PermanentError.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { messageOf, PermanentError } from '../errors.ts'

/** Rows in order of time, whatever order the file has. */
export interface HistoryFile {
  /** Path below the folder, with `/`. */
  readonly name: string
  readonly timeMs: Float64Array
  readonly value: Float64Array
}

/** Paths of the files below the folder, in order of their names. */
export function historyNames(folder: string): string[] {
  let names: string[]
  try {
    if (!statSync(folder).isDirectory()) throw new PermanentError(`--data ${folder} is a file: give the folder it lies in`)
    names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  } catch (error) {
    if (error instanceof PermanentError) throw error
    throw new PermanentError(`--data ${folder} cannot be read: ${messageOf(error)}`, { cause: error })
  }
  const found = names.filter((name) => /\.csv(\.gz)?$/i.test(name)).map((name) => name.split(sep).join('/'))
  if (found.length === 0) throw new PermanentError(`--data ${folder} holds neither CSV files nor a recording (manifest.json)`)
  return found.sort()
}

export function readHistory(folder: string, name: string): HistoryFile {
  const lines = readLines(join(folder, name), name)
  const rows: [timeMs: number, value: number][] = []
  let begun = false
  lines.forEach((line, i) => {
    const where = `${name}, line ${i + 1}`
    if (line.trim() === '') return
    const [time = '', text] = line.split(',').map(unquoted)
    if (text === undefined) throw new PermanentError(`${where}: needs a timestamp and a value with a comma between them: ${clip(line)}`)
    const unmeasured = text === '' || /^nan$/i.test(text)
    const value = Number(text)
    const timeMs = timeOf(time)
    // Whatever the first line is called, it is a header when neither of its cells can be read.
    const isHeader = !begun && timeMs === undefined && (unmeasured || Number.isNaN(value))
    begun = true
    if (isHeader) return
    if (timeMs === undefined) throw new PermanentError(`${where}: ${clip(time)} is no time: ${TIMES}`)
    if (unmeasured) return
    if (!Number.isFinite(value)) throw new PermanentError(`${where}: ${clip(text)} is no number`)
    rows.push([timeMs, value])
  })
  if (rows.length === 0) throw new PermanentError(`${name} holds no row with a value`)
  rows.sort((a, b) => a[0] - b[0])
  return { name, timeMs: Float64Array.from(rows, ([at]) => at), value: Float64Array.from(rows, ([, value]) => value) }
}

export const TIMES = 'write 2026-11-23T10:00:00Z, seconds or milliseconds since 1970'

/** Undefined when it is no time. Numbers below 1e11 are seconds: as milliseconds they would be before March 1973. */
export function timeOf(text: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) {
    const number = Number(text)
    const timeMs = number < 1e11 ? number * 1000 : number
    return timeMs <= 8.64e15 ? timeMs : undefined
  }
  const [, date, time = '00:00:00', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?\s*(Z|[+-]\d\d:?\d\d)?$/i.exec(text) ?? []
  if (date === undefined) return undefined
  // Six digits of a second are common; more than three are not part of the format that Date.parse promises to read.
  const timeMs = Date.parse(`${date}T${time.replace(/(\.\d{3})\d+/, '$1')}${zone}`)
  return Number.isNaN(timeMs) ? undefined : timeMs
}

export function readLines(path: string, name: string): string[] {
  try {
    const bytes = readFileSync(path)
    return (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes)
      .toString('utf8')
      .replace(/^\uFEFF/, '')
      .split(/\r?\n/)
  } catch (error) {
    throw new PermanentError(`${name} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

export const unquoted = (cell: string): string => cell.trim().replace(/^"(.*)"$/, '$1')

export function clip(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
