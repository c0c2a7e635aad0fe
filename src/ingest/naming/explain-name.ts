/**
 * Why something is called what it is called: the labels or attributes of one row go through the naming that the doors use, which notes
 * every rule it looks at. For `tocsin explain-name`.
 */
import { DecodeError } from '../../errors.ts'
import { shown } from '../../wording.ts'
import { parseLokiLabels } from '../logs/loki-labels.ts'
import type { Lookup, NameTrace, NameTrial, Naming } from './naming.ts'

export const NAMED_SIGNALS = ['metric', 'log', 'resource', 'alert'] as const
export type NamedSignal = (typeof NAMED_SIGNALS)[number]

export interface NameExplanation {
  readonly name: string
  /** The rule that gave it; undefined: none did. */
  readonly rule: NameTrial | undefined
  /** The rules before it, in their order. */
  readonly tried: readonly NameTrial[]
  /** What it was called before `naming.aliases` replaced it, or ''. */
  readonly alias: string
}

export interface RowExplanation {
  readonly signal: NamedSignal
  readonly service: NameExplanation
  /** Alerts have no copy, and metrics and alerts no version. */
  readonly instance: NameExplanation | undefined
  readonly version: NameExplanation | undefined
}

export function explainName(
  naming: Naming,
  signal: NamedSignal,
  pairs: readonly (readonly [name: string, value: string])[],
): RowExplanation {
  const values = new Map(pairs)
  const lookup: Lookup = (name) => values.get(name)
  const explain = (call: (trace: NameTrace) => string): NameExplanation => {
    const trace: NameTrace = { trials: [], alias: '' }
    const name = call(trace)
    const rule = trace.trials.at(-1)?.gave === '' ? undefined : trace.trials.at(-1)
    return { name, rule, tried: rule === undefined ? trace.trials : trace.trials.slice(0, -1), alias: trace.alias }
  }
  const version = explain((trace) => naming.version(lookup, trace))
  switch (signal) {
    case 'log':
      return {
        signal,
        service: explain((trace) => naming.logService(lookup, trace)),
        instance: explain((trace) => naming.logInstance(lookup, trace)),
        version,
      }
    case 'resource':
      return {
        signal,
        service: explain((trace) => naming.resourceService(lookup, trace)),
        instance: explain((trace) => naming.resourceInstance(lookup, trace)),
        version,
      }
    default:
      return {
        signal,
        service: explain((trace) => naming.metricService(lookup, trace)),
        instance: signal === 'alert' ? undefined : explain((trace) => naming.metricInstance(lookup, trace)),
        version: undefined,
      }
  }
}

/** `up{job="x",pod="y"}`, `{app="x"}`, or `service.name=x,host.name=y` with values that hold no comma. Throws a DecodeError. */
export function parseRow(text: string): [name: string, value: string][] {
  const brace = text.indexOf('{')
  const equals = text.indexOf('=')
  const pairs = brace >= 0 && (equals < 0 || brace < equals) ? parseLokiLabels(text.slice(brace), MAX_PAIRS) : listed(text)
  if (pairs.length > MAX_PAIRS) throw new DecodeError('too-many-labels', `more than ${MAX_PAIRS} labels`)
  const names = new Set(pairs.map(([name]) => name))
  if (names.size < pairs.length) throw new DecodeError('bad-labels', 'a label is given twice')
  return pairs
}

const MAX_PAIRS = 1_000

function listed(text: string): [name: string, value: string][] {
  return text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const at = part.indexOf('=')
      if (at < 1)
        throw new DecodeError('bad-labels', `${JSON.stringify(part.trim())} is no NAME=VALUE: write {name="value",…} or NAME=VALUE,…`)
      return [
        part.slice(0, at).trim(),
        part
          .slice(at + 1)
          .trim()
          .replace(/^"(.*)"$/, '$1'),
      ]
    })
}

/** For people: each name, the rule that gave it and what the rules before it saw. Rules whose label is not there share a line. */
export function explanationText(row: RowExplanation): string {
  const lines: string[] = []
  for (const part of ['service', 'instance', 'version'] as const) {
    const explained = row[part]
    if (explained === undefined) continue
    const { name, rule, tried, alias } = explained
    lines.push(`${part.padEnd(8)}  ${name === '' ? '(none)' : name}`)
    if (rule === undefined) lines.push(`  no rule gave a name${part === 'service' ? ': this is naming.unknownService' : ''}`)
    else
      lines.push(
        `  by  ${ruleText(rule)}: ${JSON.stringify(rule.saw)}${rule.saw === rule.gave ? '' : ` gave ${JSON.stringify(rule.gave)}`}`,
      )
    if (alias !== '') lines.push(`  as  naming.aliases says that ${JSON.stringify(alias)} is ${JSON.stringify(name)}`)
    const saw = tried.filter((trial) => trial.saw !== undefined && trial.saw !== '')
    for (const trial of saw) lines.push(`  not ${ruleText(trial)}: ${JSON.stringify(trial.saw)} names nobody`)
    const absent = tried.filter((trial) => !saw.includes(trial)).map((trial) => trial.from)
    if (absent.length > 0) lines.push(`  not ${[...new Set(absent)].join(', ')}: not there`)
  }
  // What is asked about comes from telemetry, pasted into a terminal.
  return `${lines.map(shown).join('\n')}\n`
}

function ruleText(trial: NameTrial): string {
  return trial.take === 'value' ? trial.from : `${trial.from} (${trial.take})`
}
