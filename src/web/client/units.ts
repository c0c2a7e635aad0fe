/** Numbers on a chart's axis: one unit for the whole axis, chosen by its largest value. */

const perMs: Readonly<Record<string, number>> = {
  ms: 1,
  milliseconds: 1,
  s: 1000,
  seconds: 1000,
  us: 1e-3,
  µs: 1e-3,
  microseconds: 1e-3,
  ns: 1e-6,
  nanoseconds: 1e-6,
}
const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

export function unitFormat(unit: string, values: readonly (number | null)[]): (value: number) => string {
  const largest = values.reduce<number>((most, value) => Math.max(most, Math.abs(value ?? 0)), 0)
  const ms = Object.hasOwn(perMs, unit) ? perMs[unit] : undefined
  if (ms !== undefined) {
    const [divisor, name] = largest * ms >= 120_000 ? [60_000, 'min'] : largest * ms >= 1000 ? [1000, 's'] : [1, 'ms']
    return (value) => `${digits((value * ms) / divisor)} ${name}`
  }
  if (unit === 'ratio' || unit === 'share' || unit === 'fraction') return (value) => `${digits(100 * value)} %`
  if (unit === 'bytes' || unit === 'By') {
    const step = Math.min(byteUnits.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, largest)) / 3)))
    return (value) => `${digits(value / 1000 ** step)} ${byteUnits[step] ?? ''}`
  }
  const thousands = largest >= 10_000 ? (largest >= 10_000_000 ? 2 : 1) : 0
  const suffix = ['', ' k', ' M'][thousands] ?? ''
  return (value) => `${digits(value / 1000 ** thousands)}${suffix}${unit === '%' ? ' %' : ''}`
}

function digits(value: number): string {
  const size = Math.abs(value)
  if (size === 0) return '0'
  return size < 1e-4 ? value.toExponential(0) : String(Number(value.toPrecision(size >= 100 ? 4 : 3)))
}
