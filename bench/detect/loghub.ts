/**
 * How well log lines are sorted into templates, on the systems of Loghub with 2,000 labelled lines each (https://github.com/logpai/loghub): the log
 * detector as it is shipped, by ordinary batches, a second per line, one configuration for all systems. What counts is the group a line is in
 * at the end, after merges; beside it the group it was put into when it came. Published parsers read the column `Content`, the message with
 * its header taken off, as a sender of structured logs would send it: so do the main figures; `fullLine` has the line as it lies in the file.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TemplateNames } from '../../src/detect/detector.ts'
import { logsConfig } from '../../src/detect/logs/logs-config.ts'
import { logsDetector } from '../../src/detect/logs/logs.ts'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import { type GroupFigures, groupFigures, type TemplateFigures, templateFigures } from '../../src/evaluate/grouping.ts'
import type { LogBatch } from '../../src/model.ts'
import { madeUpLines } from './log-lines.ts'

export interface LoghubFigures extends GroupFigures, TemplateFigures {
  /** By the id that a line had when it came. */
  readonly arrival: GroupFigures
}

export interface LoghubResult extends LoghubFigures {
  readonly fullLine: GroupFigures
  /** Lines of many kinds of program with known templates, made up for this bench. */
  readonly madeUp: GroupFigures & { readonly perFamily: Readonly<Record<string, GroupFigures>> }
  readonly perSystem: Readonly<Record<string, LoghubFigures & { readonly fullLine: GroupFigures }>>
}

const BATCH_ROWS = 500
const START_MS = 1_700_000_000_000
const SEEDS = [1, 2, 3] as const

/** `dir` holds `loghub-2k/SYSTEM/SYSTEM_2k.log_structured.csv`; undefined when there is none. */
export function evaluate(dir: string): LoghubResult | undefined {
  const root = join(dir, 'loghub-2k')
  if (!existsSync(root)) return undefined
  const perSystem: Record<string, LoghubFigures & { fullLine: GroupFigures }> = {}
  for (const system of readdirSync(root).sort()) {
    const file = join(root, system, `${system}_2k.log`)
    if (existsSync(`${file}_structured.csv`)) perSystem[system] = evaluateSystem(file)
  }
  const all = Object.values(perSystem)
  if (all.length === 0) return undefined
  return {
    ...meanOf(all),
    pa: mean(all.map((one) => one.pa)),
    fta: mean(all.map((one) => one.fta)),
    arrival: meanOf(all.map((one) => one.arrival)),
    fullLine: meanOf(all.map((one) => one.fullLine)),
    madeUp: evaluateMadeUp(),
    perSystem,
  }
}

function evaluateSystem(file: string): LoghubFigures & { fullLine: GroupFigures } {
  const { content, truth, template } = labelled(`${file}_structured.csv`)
  const corrected = existsSync(`${file}_structured_corrected.csv`) ? labelled(`${file}_structured_corrected.csv`).template : template
  const lines = readFileSync(file, 'utf8')
    .split(/\r?\n/)
    .filter((line) => line !== '')
  const { atArrival, atEnd, texts } = mined(content)
  return {
    ...groupFigures(atEnd, truth),
    // The letters of a template are compared with the corrected ones, as is done since Khan et al.
    ...templateFigures(texts.map(comparable), corrected.map(comparable)),
    arrival: groupFigures(atArrival, truth),
    fullLine: lines.length === truth.length ? groupFigures(mined(lines).atEnd, truth) : { ga: Number.NaN, fga: Number.NaN },
  }
}

/** Made-up lines, for kinds of program that no labelled collection has. */
export function evaluateMadeUp(linesPerFamily = 2000): LoghubResult['madeUp'] {
  const perFamily: Record<string, GroupFigures> = {}
  const perSeed = SEEDS.map((seed) =>
    madeUpLines(seed, linesPerFamily).map(({ family, lines, statement }) => ({
      family,
      figures: groupFigures(mined(lines).atEnd, statement),
    })),
  )
  for (const { family } of perSeed[0]!) {
    perFamily[family] = meanOf(perSeed.map((families) => families.find((one) => one.family === family)!.figures))
  }
  return { ...meanOf(Object.values(perFamily)), perFamily }
}

interface Mined {
  readonly atArrival: readonly number[]
  readonly atEnd: readonly number[]
  readonly texts: readonly string[]
}

/** The lines through the log detector, in order. A line that goes on with a trace belongs to the one before it. */
function mined(lines: readonly string[]): Mined {
  const atArrival: number[] = []
  let names: TemplateNames | undefined
  const templates = (_service: string, timeMs: number, id: number, known: TemplateNames): void => {
    names = known
    const row = (timeMs - START_MS) / 1000
    while (atArrival.length < row) atArrival.push(atArrival.at(-1) ?? 0)
    atArrival.push(id)
  }
  const detector = logsDetector.create(logsConfig.parse({}), { partition: 0, residuals: new ResidualBoard(), templates })
  for (let from = 0; from < lines.length; from += BATCH_ROWS) {
    const body = lines.slice(from, from + BATCH_ROWS)
    detector.detect(batchOf(body, from), () => undefined)
    detector.detect({ kind: 'tick', nowMs: START_MS + (from + body.length) * 1000 }, () => undefined)
  }
  while (atArrival.length < lines.length) atArrival.push(atArrival.at(-1) ?? 0)
  const atEnd = atArrival.map((id) => names?.resolve(id) ?? id)
  return { atArrival, atEnd, texts: atEnd.map((id) => names?.textOf(id) ?? '') }
}

function batchOf(body: readonly string[], from: number): LogBatch {
  return {
    kind: 'logs',
    rows: body.length,
    sources: [{ service: 'bench', instance: '', version: '' }],
    sourceIndex: new Uint32Array(body.length),
    timeMs: Float64Array.from(body, (_, i) => START_MS + (from + i) * 1000),
    severity: new Uint8Array(body.length),
    body,
    traceId: body.map(() => ''),
  }
}

/** Wildcards that touch, or stand beside each other with punctuation between them, are one; white space is one space. */
function comparable(template: string): string {
  return template
    .replaceAll('<NUM>', '<*>')
    .replaceAll(/<\*>(?:[\s,.:;/@#+\-_]*<\*>)+/g, '<*>')
    .replaceAll(/\s+/g, ' ')
    .trim()
}

interface Labelled {
  readonly content: readonly string[]
  readonly truth: readonly string[]
  readonly template: readonly string[]
}

function labelled(file: string): Labelled {
  const [head, ...rows] = csvRows(readFileSync(file, 'utf8'))
  const column = (name: string) => rows.map((row) => row[head!.indexOf(name)]!)
  return { content: column('Content'), truth: column('EventId'), template: column('EventTemplate') }
}

/** RFC 4180. */
function csvRows(text: string): string[][] {
  const rows: string[][] = []
  for (let at = 0; at < text.length;) {
    const row: string[] = []
    for (let ended = false; !ended;) {
      let cell = ''
      if (text[at] === '"') {
        for (at++; at < text.length && (text[at] !== '"' || text[at + 1] === '"'); at++) {
          if (text[at] === '"') at++
          cell += text[at]
        }
        at++
      } else {
        const from = at
        while (at < text.length && text[at] !== ',' && text[at] !== '\n' && text[at] !== '\r') at++
        cell = text.slice(from, at)
      }
      row.push(cell)
      ended = text[at] !== ','
      at++
    }
    if (text[at - 1] === '\r' && text[at] === '\n') at++
    rows.push(row)
  }
  return rows
}

function meanOf(figures: readonly GroupFigures[]): GroupFigures {
  return { ga: mean(figures.map((one) => one.ga)), fga: mean(figures.map((one) => one.fga)) }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
