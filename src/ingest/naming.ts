/**
 * Says which service, copy and version a row belongs to, by ordered rules from the configuration, so that the metrics, logs and spans
 * of one service end up under one name. First match wins; a name that is configured as an alias is replaced.
 */
import { cleanText } from './clean-text.ts'
import type { NameRule, NamingConfig } from './config.ts'

/** Looks up a label or attribute; undefined or '' when it is not there. */
export type Lookup = (name: string) => string | undefined

interface Rule {
  readonly from: string
  readonly take: 'value' | 'workload' | 'last-segment'
}

// The alphabet that Kubernetes makes name suffixes of, chosen there so that no words come out:
// https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go
const SAFE = '[bcdfghjklmnpqrstvwxz2456789]'
const DEPLOYMENT_POD = new RegExp(`^(.+)-${SAFE}{6,10}-${SAFE}{5}$`)
const CRON_JOB_POD = new RegExp(`^(.+)-\\d{8,10}-${SAFE}{5}$`)
const RANDOM_POD = new RegExp(`^(.+)-${SAFE}{5}$`)
const STATEFUL_POD = /^(.+)-\d{1,5}$/

/** `checkout-6d5f8c9b7d-x2k4p`, `checkout-x2k4p`, `checkout-0` and `checkout-28934480-x2k4p` are all `checkout`. */
export function workloadOf(pod: string): string {
  for (const pattern of [DEPLOYMENT_POD, CRON_JOB_POD, RANDOM_POD, STATEFUL_POD]) {
    const match = pattern.exec(pod)
    if (match !== null) return match[1]!
  }
  return pod
}

export class Naming {
  /** All attributes that `peer` may ask for. */
  readonly peerAttributes: readonly string[]
  readonly #config: NamingConfig
  readonly #maxChars: number
  readonly #aliases: ReadonlyMap<string, string>
  readonly #metricService: readonly Rule[]
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
    this.peerAttributes = [...config.peer, 'server.port', 'net.peer.port']
    this.#metricService = config.metricService.map(ruleOf)
    this.#metricInstance = config.metricInstance.map(ruleOf)
    this.#logService = config.logService.map(ruleOf)
    this.#logInstance = config.logInstance.map(ruleOf)
    this.#resourceService = config.resourceService.map(ruleOf)
    this.#resourceInstance = config.resourceInstance.map(ruleOf)
    this.#version = config.version.map(ruleOf)
  }

  metricService(label: Lookup): string {
    return this.named(this.#first(this.#metricService, label))
  }

  metricInstance(label: Lookup): string {
    return this.#first(this.#metricInstance, label)
  }

  logService(label: Lookup): string {
    return this.named(this.#first(this.#logService, label))
  }

  logInstance(label: Lookup): string {
    return this.#first(this.#logInstance, label)
  }

  resourceService(attribute: Lookup): string {
    // SDKs that were not told a name send `unknown_service:node`.
    const name = this.#first(this.#resourceService, (from) => {
      const value = attribute(from)
      return from === 'service.name' && value?.startsWith('unknown_service') ? undefined : value
    })
    return this.named(name)
  }

  resourceInstance(attribute: Lookup): string {
    return this.#first(this.#resourceInstance, attribute)
  }

  version(lookup: Lookup): string {
    return this.#first(this.#version, lookup)
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
  named(name: string): string {
    const clean = cleanText(name.trim(), this.#maxChars)
    return clean === '' ? this.#config.unknownService : (this.#aliases.get(clean) ?? clean)
  }

  #first(rules: readonly Rule[], lookup: Lookup): string {
    for (const rule of rules) {
      const value = lookup(rule.from)
      if (value === undefined || value === '') continue
      const clean = cleanText(value, this.#maxChars)
      const taken =
        rule.take === 'workload' ? workloadOf(clean) : rule.take === 'last-segment' ? clean.slice(clean.lastIndexOf('/') + 1) : clean
      if (taken !== '') return taken
    }
    return ''
  }
}

function ruleOf(rule: NameRule): Rule {
  return typeof rule === 'string' ? { from: rule, take: 'value' } : rule
}
