/** Types of shop.js, for tests written in TypeScript. */

export type Service = 'gateway' | 'catalog' | 'checkout' | 'payments' | 'inventory'
export type Fault = 'slow-database' | 'bad-deploy' | 'cpu-hog'

export interface ShopOptions {
  /** Base URL the telemetry goes to: /v1/traces, /loki/api/v1/push, /api/v1/write, /api/v2/alerts and /api/v1/events below it. */
  target: string
  /** Sent with all of it as a bearer token. */
  token?: string | undefined
  /** Mean requests per second; 4. */
  rps?: number
  /** How often Prometheus scrapes; '5s'. */
  scrape?: string
  /** How long the gateway's error ratio must be high before Prometheus alerts; '20s'. */
  alertFor?: string
  /** How long spans are collected before they are sent; 2000. */
  otlpDelayMs?: number
  /** The same for log lines; 1000. */
  lokiIntervalMs?: number
  /** Of the customers and of the database's locks; 1. */
  seed?: number
  /** Keep the run's files in a new directory under it; without it they are in a temporary one, removed at the end. */
  dir?: string | undefined
  /** Take ports from here on (busy ones are skipped), first the gateway's; without it any free ones. */
  portBase?: number | undefined
  /** More environment for the services. */
  extraEnv?: Record<string, string>
  /** Told what happens, a line at a time. */
  say?: (line: string) => void
}

/** What the customers experienced. A request failed if it was answered 5xx or not at all; times in ms. */
export interface Stats {
  requests: number
  errorRatio: number
  p50: number | undefined
  p95: number | undefined
}

export interface Shop {
  /** Where the run's logs and data are. */
  readonly dir: string
  /** By name: the services, `postgres`, `prometheus`, `control`. Those of services change with deployments. */
  readonly ports: Record<string, number>
  /** By name: the services, `postgres`, `prometheus`, `load`, `keeper`. */
  readonly pids: Record<string, number>
  readonly versions: Record<Service, string>
  /** Switches a fault on; resolves with the time when it is. Changes are made one after the other. */
  inject(fault: Fault): Promise<Date>
  /** Switches it off again; resolves with the time when it is. */
  clear(fault: Fault): Promise<Date>
  /** Announces and rolls out a version (payments 2.4.x has a bug, anything else is the same code); resolves when traffic goes to it. */
  deploy(service: Service, version: string): Promise<Date>
  /** Between two times, in ms since the epoch. */
  stats(from?: number, to?: number): Stats
  /** Stops everything; resolves when no process is left. */
  stop(): Promise<void>
}

/** The services and the versions they start with. */
export const SERVICES: Readonly<Record<Service, string>>

/** Starts everything; resolves when customers come in (2 to 4 s). */
export function startShop(options: ShopOptions): Promise<Shop>

/** For a command: on SIGINT and SIGTERM calls `stop` of what it returns, then ends the process. */
export function endOnSignal(): { stop: () => Promise<void> }
