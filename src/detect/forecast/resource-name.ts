/**
 * Which part of a bounded resource a metric is: what is used, what is free, the limit, a share, or the date of an end. By words that exporters and
 * OpenTelemetry's conventions share (https://opentelemetry.io/docs/specs/semconv/system/), a label that says the same (`state="free"`), and
 * a few well-known pairs whose names have nothing in common. Metrics with the same words but for that part, and the same labels, are one resource.
 */
import type { Series } from '../../model.ts'
import { labelText } from '../series/metric-kind.ts'

export type Part = 'used' | 'free' | 'limit' | 'share' | 'other' | 'expiry'

export interface ResourcePart {
  readonly part: Part
  /** The same for all parts of one resource. */
  readonly key: string
  /** Of two metrics for one part the lower is believed. */
  readonly rank: number
  /** What a share is of: 1 or 100. */
  readonly whole: number
  /** What is left after a collection counts, not what is reached before one. */
  readonly floors: boolean
  /** It follows the load and gives back what it took: a rise of hours says little. */
  readonly elastic: boolean
  /** One series at a time tells it: after a restart, or of two that tell the same, the latest is believed; the others are added up. */
  readonly sole: boolean
  /** For people: `disk space node_filesystem_avail_bytes {mountpoint="/"}`. */
  readonly title: string
  readonly unit: string
}

interface NameRole {
  readonly part: Part | undefined
  readonly stem: string
  readonly rank: number
  readonly whole: number
  readonly floors: boolean
  readonly what: string
  readonly unit: string
  /** The labels that tell one resource from another, of whatever service; undefined: all of them. */
  readonly labels: readonly string[] | undefined
  /** Only of this value of this label. */
  readonly only: readonly [label: string, value: string] | undefined
}

const USED = ['used', 'active', 'open', 'inuse', 'allocated', 'busy', 'connected', 'current', 'usage']
const FREE = ['avail', 'available', 'free', 'remaining']
const LIMIT = ['max', 'maximum', 'limit', 'hard', 'capacity', 'size']
const SHARE = ['percent', 'percentage', 'pct', 'ratio', 'utilization', 'utilisation']
/** Say nothing about which resource it is. */
const FILLERS = new Set([...USED, ...FREE, ...LIMIT, ...SHARE, 'bytes', 'total', 'count', 'number', 'num', 'of', 'in', 'config', 'by'])
/** Of these it is a movement, a time or a wish, not a level. */
const NEVER = new Set(
  'seconds second milliseconds ms duration time latency rate io iops read reads write writes written errors error failed requests request hit hits miss misses cpu network received sent transmit gc peak watermark min minimum evicted created cache cached dirty swap bandwidth inodesfree oom success desired pending waiting idle load'.split(
    ' ',
  ),
)
const KINDS: readonly (readonly [what: string, words: readonly string[]])[] = [
  ['quota', ['resourcequota', 'quota']],
  ['disk inodes', ['inodes', 'inode']],
  ['disk space', ['filesystem', 'disk', 'volume', 'storage', 'fs', 'tablespace', 'partition']],
  ['heap memory', ['heap', 'jvm', 'clr']],
  ['memory', ['memory', 'mem']],
  ['file descriptors', ['fds', 'fd', 'filefd', 'descriptor', 'descriptors', 'handles']],
  ['connections', ['connection', 'connections', 'conns', 'conn', 'clients', 'sessions', 'backends', 'conntrack', 'sockets', 'pool']],
  ['threads', ['threads', 'workers', 'pids', 'processes']],
  ['queue', ['queue', 'buffer']],
]
const ELASTIC = new Set(['connections', 'threads', 'queue'])
const STATE_LABELS = new Set(['state', 'type', 'conn_type', 'status'])
const STATES: ReadonlyMap<string, Part> = new Map([
  ...(['used', 'current', 'active', 'in_use'] as const).map((word) => [word, 'used'] as const),
  ...(['free', 'available'] as const).map((word) => [word, 'free'] as const),
  ...(['hard', 'limit', 'max'] as const).map((word) => [word, 'limit'] as const),
  ...(['cached', 'buffered', 'buffers', 'inactive', 'slab_reclaimable'] as const).map((word) => [word, 'other'] as const),
])
/** Images that are full when they are made, and what only mirrors another file system. */
const UNBOUND = new Set(['squashfs', 'iso9660', 'ramfs', 'devtmpfs', 'nsfs', 'overlay', 'proc', 'sysfs', 'autofs'])
const EXPIRY = /(?:ssl|tls|x509|cert|certificate).*(?:expiry|not_?after|expiration)(?:_timestamp)?(?:_seconds)?$/i
const POD = ['namespace', 'pod', 'container'] as const
const OTEL_POD = ['k8s_namespace_name', 'k8s_pod_name', 'k8s_container_name'] as const

/** Pairs whose names have too little in common. What includes the page cache is always full and is left out. */
const KNOWN: ReadonlyMap<string, Partial<NameRole>> = new Map<string, Partial<NameRole>>([
  ['container_memory_usage_bytes', { part: undefined }],
  ['container_memory_working_set_bytes', { part: 'used', stem: 'container memory', what: 'memory', unit: 'bytes', labels: POD }],
  ['container_spec_memory_limit_bytes', { part: 'limit', stem: 'container memory', rank: 1, labels: POD }],
  ['kube_pod_container_resource_limits', { part: 'limit', stem: 'container memory', labels: POD, only: ['resource', 'memory'] }],
  ['k8s_container_memory_limit_bytes', { part: 'limit', stem: 'container memory', labels: OTEL_POD }],
  ['pg_stat_activity_count', { part: 'used', stem: 'pg connections', what: 'connections', labels: ['job', 'instance', 'server'] }],
  [
    'pg_stat_database_numbackends',
    { part: 'used', stem: 'pg connections', rank: 1, what: 'connections', labels: ['job', 'instance', 'server'] },
  ],
  ['pg_settings_max_connections', { part: 'limit', stem: 'pg connections', labels: ['job', 'instance', 'server'] }],
  ['mysql_global_status_threads_connected', { part: 'used', stem: 'mysql connections', what: 'connections' }],
  ['mysql_global_variables_max_connections', { part: 'limit', stem: 'mysql connections' }],
  ['redis_connected_clients', { part: 'used', stem: 'redis clients', what: 'connections' }],
  ['redis_config_maxclients', { part: 'limit', stem: 'redis clients' }],
  ['node_nf_conntrack_entries', { part: 'used', stem: 'node nf conntrack entries', what: 'connections' }],
  ['node_nf_conntrack_entries_limit', { part: 'limit', stem: 'node nf conntrack entries' }],
])
const MAX_NAMES = 20_000

export class ResourceNames {
  /** null: it is of nothing. */
  readonly #roles = new Map<string, NameRole | null>()

  /** Whether a metric of that name can be a part of anything: most cannot, and are asked no further. */
  concerns(name: string): boolean {
    return this.#roleOf(name) !== undefined
  }

  /** undefined where it is of no bounded resource. */
  partOf({ name, type, labels, service, instance }: Series): ResourcePart | undefined {
    if (type === 'counter' || type === 'delta' || type === 'sketch') return undefined
    const role = this.#roleOf(name)
    if (role === undefined) return undefined
    let { part } = role
    const told: string[] = []
    const identity: string[] = []
    for (const [label, value] of labels) {
      if ((label === 'fstype' || label === 'type') && UNBOUND.has(value)) return undefined
      if (role.only?.[0] === label && role.only[1] !== value) return undefined
      if (role.labels !== undefined) {
        if (value !== '' && role.labels.includes(label)) identity.push(value)
        continue
      }
      const state = STATE_LABELS.has(label) || label.endsWith('_state') ? STATES.get(value) : undefined
      // Reserved blocks and idle connections are neither used nor free.
      if (state === undefined && (label === 'state' || label.endsWith('_state'))) return undefined
      // A share of what is free, or of caches, is not one of what is used.
      if (part === 'share' && state !== undefined && state !== 'used') return undefined
      if (state !== undefined && (part === undefined || part === 'used')) {
        part = state
        told.push(label)
      } else identity.push(label, value)
    }
    if (part === undefined) return undefined
    const shared = role.labels === POD || role.labels === OTEL_POD
    if (shared && identity.length < POD.length) return undefined
    const scope = shared ? [] : role.labels === undefined ? [service, instance] : [service]
    return {
      part,
      key: JSON.stringify([role.stem, ...scope, ...identity]),
      rank: role.rank,
      whole: role.whole,
      floors: role.floors,
      elastic: ELASTIC.has(role.what),
      sole: shared || part === 'limit' || part === 'share',
      title: `${role.what} ${name.length > 120 ? `${name.slice(0, 119)}…` : name}${labelText(labels, (label) => told.includes(label))}`,
      unit: role.unit,
    }
  }

  #roleOf(name: string): NameRole | undefined {
    const known = this.#roles.get(name)
    if (known !== undefined) return known ?? undefined
    if (this.#roles.size >= MAX_NAMES) this.#roles.clear()
    const role = roleOf(name)
    this.#roles.set(name, role ?? null)
    return role
  }
}

function roleOf(name: string): NameRole | undefined {
  const plain: NameRole = {
    part: undefined,
    stem: '',
    rank: 0,
    whole: 1,
    floors: false,
    what: '',
    unit: '',
    labels: undefined,
    only: undefined,
  }
  const known = KNOWN.get(name)
  if (known !== undefined) return known.part === undefined ? undefined : { ...plain, ...known }
  if (EXPIRY.test(name.slice(0, 256))) return { ...plain, part: 'expiry', stem: name, what: 'certificate' }
  const words = wordsOf(name)
  if (words.some((word) => NEVER.has(word)) || words.at(-1) === 'bucket' || words.at(-1) === 'sum') return undefined
  const [what] = KINDS.find(([, of]) => of.some((word) => words.includes(word))) ?? []
  if (what === undefined) return undefined
  const at = (of: readonly string[]): number => of.findIndex((word) => words.includes(word))
  const [used, free, limit, share] = [at(USED), at(FREE), at(LIMIT), at(SHARE)]
  const last = words.filter((word) => word !== 'bytes').at(-1)
  // A size is a limit only where nothing else is said.
  const limited = limit >= 0 && (LIMIT[limit] !== 'size' || (used < 0 && free < 0))
  if (limited && (used >= 0 || free >= 0) && share < 0 && !words.includes('open')) {
    if (USED[used] !== 'usage' && USED[used] !== 'current') return undefined
  }
  let part: Part | undefined
  let rank = 0
  if (share >= 0) {
    // Of what is free nothing can be said that the same words would not say of what is used.
    if (free >= 0 || what === 'queue') return undefined
    part = 'share'
    rank = 9
  } else if (limited) [part, rank] = ['limit', limit]
  else if (free >= 0) {
    // Linux keeps no memory free on purpose; what is available is another figure.
    if ((what === 'memory' || what === 'heap memory') && FREE[free] === 'free') return undefined
    ;[part, rank] = ['free', free]
  } else if (used >= 0) [part, rank] = ['used', used]
  else if (words.includes('total')) [part, rank] = ['limit', 8]
  else if (last === 'inodes' || (last === 'files' && what === 'disk space')) [part, rank] = ['limit', 7]
  const stem = [...new Set(words.filter((word) => !FILLERS.has(word)))].sort().join(' ')
  const ratio = words.includes('ratio') || words.includes('utilization') || words.includes('utilisation')
  const unit = words.includes('bytes') ? 'bytes' : ''
  const inodes = what === 'disk space' && words.includes('files') ? 'disk inodes' : what
  const whole =
    part === 'share' && !(ratio && !words.some((word) => word === 'percent' || word === 'pct' || word === 'percentage')) ? 100 : 1
  return { ...plain, part, stem, rank, whole, floors: what === 'heap memory', what: inodes, unit }
}

function wordsOf(name: string): string[] {
  return name
    .slice(0, 256)
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
}
