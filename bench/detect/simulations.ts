/**
 * What is measured on made-up histories, where labelled ones are not to be had: forecasts, error budgets, spans and the rates of log lines.
 * Each takes a minute or more; `--only sim` runs all, and the page shows them.
 */
type Json = Readonly<Record<string, unknown>>

export const SIMULATIONS = ['forecast', 'slo', 'spansQuiet', 'logRates'] as const
export type Simulation = (typeof SIMULATIONS)[number]

const LOADERS: Readonly<Record<Simulation, () => Promise<Json>>> = {
  forecast: async () => ({ ...(await import('./forecast.ts')).evaluate() }),
  slo: async () => (await import('./slo.ts')).evaluateSlo(),
  spansQuiet: async () => ({ ...(await import('./spans-quiet.ts')).evaluate() }),
  logRates: async () => ({ ...(await import('./log-rates.ts')).evaluate() }),
}

export function isSimulation(name: string): name is Simulation {
  return (SIMULATIONS as readonly string[]).includes(name)
}

export async function simulate(name: Simulation): Promise<Json> {
  return LOADERS[name]()
}

/** Their part of the page; empty where none ran. */
export function simulationsPart(answer: Json): string {
  const parts = [forecastPart(answer['forecast']), sloPart(answer['slo']), spansPart(answer['spansQuiet']), logsPart(answer['logRates'])]
  const shown = parts.filter((part) => part !== '')
  if (shown.length === 0) return ''
  return `
## Made-up histories
For what nobody has labelled: seeded simulations through the detectors as they are shipped. They show what is told under conditions that are known; how often
those conditions are met in practice they do not.

${shown.join('\n')}`
}

function forecastPart(of: unknown): string {
  if (!isJson(of)) return ''
  const { kinds, fills, others } = of as { kinds: Json[]; fills: Json; others: Json }
  const head = [
    'kind',
    'fill up',
    'foretold',
    'hours before',
    'paged',
    'minutes before',
    'interval held',
    'false a week',
    'false pages a week',
  ]
  const keys = [
    'what',
    'filled',
    'foretold',
    'leadHours',
    'paged',
    'pageLeadMinutes',
    'coverage',
    'falsePerWeek',
    'falsePagesPerWeek',
  ] as const
  const rows = kinds.filter((kind) => kind['scrapeMinutes'] === 1).map((kind) => keys.map((key) => cell(kind[key])))
  return `### Time to exhaustion
Ten series of each kind over a week, a sample a minute (the summary: also one in five minutes). Of what fills up ${cell(fills['foretold'])} was foretold, ${cell(fills['leadHours'])} hours
before (median); the interval that is to hold four of five times held ${cell(fills['coverage'])}. What does not fill up was foretold ${cell(others['falsePerWeek'])} times a series and week.

${table(head, rows)}`
}

function sloPart(of: unknown): string {
  if (!isJson(of)) return ''
  const { bursts, quiet } = of as { bursts: Json[]; quiet: Json[] }
  const burstRows = bursts.map((row) =>
    [row['requestsPerMinute'], row['failing'], row['bursts'], row['told'], row['minutes'], row['minutesInTheory']].map(cell),
  )
  const quietRows = quiet.map((row) => [row['requestsPerMinute'], row['pagesPerWeek'], row['slowPerWeek']].map(cell))
  return `### Error budgets
An objective of 99.9 %, and eight hours of failures after three quiet days; beside the minutes it took those that the windows take by arithmetic.

${table(['requests a minute', 'failing', 'bursts', 'paged', 'minutes', 'by arithmetic'], burstRows)}
With half of the failures that the objective allows, a service and week:

${table(['requests a minute', 'pages', 'slow burns'], quietRows)}`
}

function spansPart(of: unknown): string {
  if (!isJson(of)) return ''
  const { quiet, faults, perServiceWeek } = of as { quiet: Json[]; faults: Json[]; perServiceWeek: number }
  const quietRows = quiet.map((row) =>
    [row['perSecond'], row['errorRate'], row['serviceWeeks'], row['anomalies'], row['paging'], row['perServiceWeek']].map(cell),
  )
  const faultRows = faults.map((row) => [row['fault'], row['perSecond'], row['trials'], row['found'], row['medianDelayS']].map(cell))
  return `### Spans
Services of ten operations where nothing is wrong: ${cell(perServiceWeek)} anomalies a service and week.

${table(['requests a second', 'share of errors', 'service-weeks', 'anomalies', 'of them felt', 'a service and week'], quietRows)}
Faults of known size:

${table(['fault', 'requests a second', 'trials', 'found', 'seconds until told'], faultRows)}`
}

function logsPart(of: unknown): string {
  if (!isJson(of)) return ''
  const byFault = Object.entries(of['byFault'] as Readonly<Record<string, Json>>)
  const rows = byFault.map(([fault, row]) => [fault, ...[row['faults'], row['told'], row['medianDelayS']].map(cell)])
  return `### Rates of log lines
A company of twelve services for two weeks, without and with faults: ${cell(of['falseAlarmsPerServiceWeek'])} false anomalies a service and week, ${cell(of['falseAlarmsPerServiceWeekAfterFirstDay'])} after each one's first day; ${cell(of['recall'])} of the faults were told.

${table(['fault', 'faults', 'told', 'seconds until told'], rows)}`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

function cell(value: unknown): string {
  if (typeof value === 'string') return value
  return typeof value === 'number' && Number.isFinite(value) ? String(Number(value.toPrecision(3))) : '–'
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null
}
