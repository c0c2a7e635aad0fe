/**
 * Tocsin's own logs and metrics. A happening is named once: one call writes one log line and bumps one counter, so that the
 * two can never disagree. Metrics are Prometheus', logs are pino's JSON lines.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Logger } from 'pino'

export type Level = 'debug' | 'info' | 'warn' | 'error'

export interface HappeningSpec<L extends string> {
  /** Snake case without prefix or suffix: `dead_letter` becomes the counter `tocsin_dead_letter_total` and the log field `event`. */
  readonly name: string
  readonly help: string
  readonly level: Level
  /** Few and bounded: they become metric labels. Everything else goes into `fields`. */
  readonly labels?: readonly L[]
}

/** Logs it and counts it. `count` for happenings told in bulk; `fields` only go to the log. */
export type Happening<L extends string> = (
  labels: Readonly<Record<L, string>>,
  fields?: Readonly<Record<string, unknown>>,
  count?: number,
) => void

export class Telemetry {
  readonly log: Logger
  readonly registry = new Registry()
  constructor(log: Logger) {
    this.log = log
  }

  happening<L extends string = never>(spec: HappeningSpec<L>): Happening<L> {
    const counter = this.counter(`${spec.name}_total`, spec.help, spec.labels ?? [])
    return (labels, fields, count = 1) => {
      counter.inc(labels, count)
      const line: Record<string, unknown> = { event: spec.name, ...labels, ...fields }
      this.log[spec.level](line, spec.help)
    }
  }

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return this.#once(name, () => new Counter({ name: `tocsin_${name}`, help, labelNames, registers: [this.registry] }))
  }

  gauge<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    collect?: (gauge: Gauge<L>) => void,
  ): Gauge<L> {
    return this.#once(
      name,
      () =>
        new Gauge({
          name: `tocsin_${name}`,
          help,
          labelNames,
          registers: [this.registry],
          ...(collect && {
            collect() {
              collect(this)
            },
          }),
        }),
    )
  }

  histogram<L extends string = never>(name: string, help: string, buckets: number[], labelNames: readonly L[] = []): Histogram<L> {
    return this.#once(name, () => new Histogram({ name: `tocsin_${name}`, help, labelNames, buckets, registers: [this.registry] }))
  }

  /** Two parts of one process may ask for the same metric (several partitions do). */
  #once<T>(name: string, create: () => T): T {
    return (this.registry.getSingleMetric(`tocsin_${name}`) as T | undefined) ?? create()
  }
}
