/**
 * Says which service, copy and version a row belongs to, by ordered rules from the configuration, so that the metrics, logs and spans
 * of one service end up under one name. First match wins; a name that is configured as an alias is replaced. What was tried and
 * what came of it can be noted on the way, which is how `tocsin explain-name` knows.
 */
import { cleanText } from '../wire/clean-text.ts'
import type { NameRule, NamingConfig } from '../config.ts'
import { containerOf, jobOf, lastSegmentOf, patternOf, unitOf, workloadOf } from './name-parts.ts'

/** Looks up a label or attribute; undefined or '' when it is not there. */
export type Lookup = (name: string) => string | undefined

/** One rule that was looked at, and what came of it. */
export interface NameTrial {
  readonly from: string
  /** As in the configuration: `value`, `workload`, `like "prod-{}"`, … */
  readonly take: string
  readonly saw: string | undefined
  /** '' when it named nothing. */
  readonly gave: string
}

/** Filled by the call that names; `alias` is the name before it was replaced, '' when it was not. */
export interface NameTrace {
  readonly trials: NameTrial[]
  alias: string
}

interface Rule {
  readonly from: string
  readonly take: string
  readonly pick: (value: string, lookup: Lookup) => string
}

/** Where senders say which node a pod runs on. */
const NODE_LABELS = ['node', 'node_name', 'k8s_node_name', 'k8s.node.name', 'kubernetes_node']
/** Where a series says what scraped thing it comes from. */
const EXPORTER_LABELS = ['job', 'app_kubernetes_io_name', 'k8s_app']

export class Naming {
  /** All attributes that `peer` may ask for. */
  readonly peerAttributes: readonly string[]
  /** All labels that the names of log lines may come from. */
  readonly logLabels: readonly string[]
  readonly #config: NamingConfig
  readonly #maxChars: number
  readonly #aliases: ReadonlyMap<string, string>
  readonly #genericJobs: ReadonlySet<string>
  readonly #metricService: readonly Rule[]
  readonly #exporterService: readonly Rule[]
  readonly #metricInstance: readonly Rule[]
  readonly #logService: readonly Rule[]
  readonly #logInstance: readonly Rule[]
  readonly #resourceService: readonly Rule[]
  readonly #resourceInstance: readonly Rule[]
  readonly #version: readonly Rule[]

  constructor(config: NamingConfig, maxNameChars: number) {
    this.#config = config
    this.#maxChars = maxNameChars
    this.#aliases = new Map(Object.entries(config.aliases))
    this.#genericJobs = new Set(config.genericJobs)
    this.peerAttributes = [...config.peer, 'server.port', 'net.peer.port']
    const compiled = (rules: readonly NameRule[]) => rules.map((rule) => this.#compiled(rule))
    this.#metricService = compiled(config.metricService)
    this.#exporterService = compiled(config.exporterService)
    this.#metricInstance = compiled(config.metricInstance)
    this.#logService = compiled(config.logService)
    this.#logInstance = compiled(config.logInstance)
    this.#resourceService = compiled(config.resourceService)
    this.#resourceInstance = compiled(config.resourceInstance)
    this.#version = compiled(config.version)
    const logRules = [...this.#logService, ...this.#logInstance, ...this.#version]
    this.logLabels = [...new Set([...logRules.map((rule) => rule.from), ...NODE_LABELS])]
  }

  /** Series of exporters that report on others are theirs whom they report on, where they say so. */
  metricService(label: Lookup, trace?: NameTrace): string {
    const about = this.#isExporter(label) ? this.#firstService(this.#exporterService, label, trace) : ''
    return this.named(about === '' ? this.#firstService(this.#metricService, label, trace) : about, trace)
  }

  metricInstance(label: Lookup, trace?: NameTrace): string {
    return this.#first(this.#metricInstance, label, trace)
  }

  logService(label: Lookup, trace?: NameTrace): string {
    return this.named(this.#firstService(this.#logService, label, trace), trace)
  }

  logInstance(label: Lookup, trace?: NameTrace): string {
    return this.#first(this.#logInstance, label, trace)
  }

  resourceService(attribute: Lookup, trace?: NameTrace): string {
    return this.named(this.#firstService(this.#resourceService, attribute, trace), trace)
  }

  resourceInstance(attribute: Lookup, trace?: NameTrace): string {
    return this.#first(this.#resourceInstance, attribute, trace)
  }

  version(lookup: Lookup, trace?: NameTrace): string {
    return this.#first(this.#version, lookup, trace)
  }

  /** What a client span calls, or ''. */
  peer(attribute: Lookup): string {
    for (const name of this.#config.peer) {
      const value = attribute(name)
      if (value === undefined || value === '') continue
      const port = name === 'server.address' ? attribute('server.port') : name === 'net.peer.name' ? attribute('net.peer.port') : undefined
      return this.named(port === undefined || port === '' ? value : `${value}:${port}`)
    }
    return ''
  }

  /** A service name as it is used everywhere: clean, not empty, aliases resolved. */
  named(name: string, trace?: NameTrace): string {
    const clean = cleanText(name.trim(), this.#maxChars)
    if (clean === '') return this.#config.unknownService
    const other = this.#aliases.get(clean)
    if (other !== undefined && trace !== undefined) trace.alias = clean
    return other ?? clean
  }

  #isExporter(label: Lookup): boolean {
    for (const from of EXPORTER_LABELS) {
      const value = label(from)
      if (value === undefined || value === '') continue
      const name = jobOf(value)
      for (const exporter of this.#config.exporters) {
        if (name === exporter || (name.endsWith(exporter) && name.charAt(name.length - exporter.length - 1) === '-')) return true
      }
    }
    return false
  }

  /** SDKs that were told no name send `unknown_service:node`, and Loki calls `unknown_service` what it finds none for. */
  #firstService(rules: readonly Rule[], lookup: Lookup, trace: NameTrace | undefined): string {
    return this.#first(rules, lookup, trace, 'unknown_service')
  }

  #first(rules: readonly Rule[], lookup: Lookup, trace: NameTrace | undefined, nobody?: string): string {
    for (const rule of rules) {
      const saw = lookup(rule.from)
      const clean = saw === undefined || saw === '' ? '' : cleanText(saw, this.#maxChars)
      const taken = clean === '' ? '' : rule.pick(clean, lookup)
      const gave = nobody !== undefined && taken.startsWith(nobody) ? '' : taken
      trace?.trials.push({ from: rule.from, take: rule.take, saw, gave })
      if (gave !== '') return gave
    }
    return ''
  }

  #compiled(rule: NameRule): Rule {
    if (typeof rule === 'string') return { from: rule, take: 'value', pick: (value) => value }
    const { from, take } = rule
    if (typeof take === 'object') return { from, take: `like ${JSON.stringify(take.like)}`, pick: patternOf(take.like) ?? (() => '') }
    return { from, take, pick: this.#pickOf(take) }
  }

  #pickOf(take: 'value' | 'workload' | 'container' | 'unit' | 'job' | 'last-segment'): Rule['pick'] {
    switch (take) {
      case 'value':
        return (value) => value
      case 'workload':
        return (pod, lookup) => workloadOf(pod, nodeOf(lookup))
      case 'container':
        return containerOf
      case 'unit':
        return unitOf
      case 'job':
        return (job) => {
          const name = jobOf(job)
          return this.#genericJobs.has(name) ? '' : name
        }
      default:
        return lastSegmentOf
    }
  }
}

function nodeOf(lookup: Lookup): string {
  for (const from of NODE_LABELS) {
    const node = lookup(from)
    if (node !== undefined && node !== '') return node
  }
  return ''
}
