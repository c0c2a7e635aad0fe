/**
 * The part of a longer name that names the service: the workload behind a pod, the service behind a container, a systemd unit or a Prometheus
 * job. Pure; each cuts only what a known program appends, so that a name that merely looks long stays whole.
 */

// Kubernetes makes random suffixes of these, chosen there so that hardly any words come out, and writes hashes, which are decimal
// numbers, in the ten of them that the digits fall on.
// https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go
const SAFE = '[bcdfghjklmnpqrstvwxz2456789]'
const RANDOM = `${SAFE}{5}`
const HASH = `(?:[4-9bcdf]{6,10}|(?=[a-z]*\\d)${SAFE}{8,10})`

/** Words of five such characters that names of workloads end in. */
const WORDS = new Set(['https', 'pgsql', 'mssql', 'xhtml', 'html5', 'http2', 'nfsv4', 'dhcp4', 'dhcp6', 'grpcs', 'mqtts', 'vxlan', 'ldaps'])

/** Deployment and Argo Rollout: a ReplicaSet's hash, then random. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template-hash-label */
const REPLICA_SET_POD = new RegExp(`^(.+)-${HASH}-${RANDOM}$`)
const REPLICA_SET = new RegExp(`^(.+)-(?=[a-z]*\\d)[4-9bcdf]{8,10}$`)
/** Knative puts its revision between the service and the Deployment. */
const KNATIVE_REVISION = /^(.+)-\d{5}-deployment$/
/** A CronJob appends minutes since 1970, before 1.21 seconds; an indexed Job its index, an OpenShift DeploymentConfig its revision. */
const CRON_JOB_POD = new RegExp(`^(.+)-\\d{8,10}(?:-\\d{1,4})?-${RANDOM}$`)
const CRON_JOB = /^(.+)-\d{8,10}$/
const NUMBERED_POD = new RegExp(`^(.+)-\\d{1,4}-${RANDOM}$`)
/** A KEDA ScaledJob names its Jobs at random, and they their pods. */
const RANDOM_JOB_POD = new RegExp(`^(.+)-(${RANDOM})-${RANDOM}$`)
/** DaemonSet, Job, bare ReplicaSet. */
const RANDOM_POD = new RegExp(`^(.+)-(${RANDOM})$`)
const STATEFUL_POD = /^(.+)-(?:0|[1-9]\d{0,2})$/
/** Pods that the kubelet starts by itself end in the name of their node; these are in every cluster, and nothing else is called so. */
const STATIC_POD = /^(kube-apiserver|kube-controller-manager|kube-scheduler)-.+/

/** What controls a pod, by the pod's name: `checkout-6d5f8c9b7d-x2k4p`, `checkout-x2k4p`, `checkout-0` and `checkout-28934480-x2k4p` are all `checkout`. */
export function workloadOf(pod: string, node = ''): string {
  if (node !== '' && pod.length > node.length + 1 && pod.endsWith(`-${node}`)) return pod.slice(0, -node.length - 1)
  const replicaSet = REPLICA_SET_POD.exec(pod) ?? REPLICA_SET.exec(pod)
  if (replicaSet !== null) return KNATIVE_REVISION.exec(replicaSet[1]!)?.[1] ?? replicaSet[1]!
  const numbered = CRON_JOB_POD.exec(pod) ?? CRON_JOB.exec(pod) ?? NUMBERED_POD.exec(pod)
  if (numbered !== null) return numbered[1]!
  const randomTwice = RANDOM_JOB_POD.exec(pod)
  if (randomTwice !== null && !WORDS.has(randomTwice[2]!)) return randomTwice[1]!
  const random = RANDOM_POD.exec(pod)
  if (random !== null && !WORDS.has(random[2]!)) return random[1]!
  return STATIC_POD.exec(pod)?.[1] ?? STATEFUL_POD.exec(pod)?.[1] ?? pod
}

/** docker compose: `project-service-1`, its first version `project_service_1`; Docker Swarm: `stack_service.1.id`. */
const COMPOSE = /^[a-z0-9]+-([a-z0-9_.]+)-\d{1,4}$/
const COMPOSE_1 = /^[a-z0-9]+_(.+)_\d{1,4}$/
const COMPOSE_NUMBERED = /^(.+)-\d{1,4}$/
const SWARM = /^(?:[^_.]+_)?([^.]+)\.\d{1,4}\.[a-z0-9]{25}$/

/** What Docker called the containers of Kubernetes: `k8s_container_pod_namespace_…`. */
const KUBELET = /^k8s_([^_]+)_/
const CONTAINER_ID = /^(?:[0-9a-f]{12}|[0-9a-f]{64})$/

/**
 * What a container is a copy of. A project may have hyphens, too: of four parts and more only the number is taken off.
 * An id names nothing, nor does `POD`, the container that keeps a pod's addresses.
 */
export function containerOf(name: string): string {
  const given = name.startsWith('/') ? name.slice(1) : name
  const bare = KUBELET.exec(given)?.[1] ?? given
  if (bare === 'POD' || CONTAINER_ID.test(bare)) return ''
  return (COMPOSE.exec(bare) ?? COMPOSE_1.exec(bare) ?? SWARM.exec(bare) ?? COMPOSE_NUMBERED.exec(bare))?.[1] ?? bare
}

/** `nginx.service` is `nginx`, `getty@tty1.service` is `getty`; a session's scope names nothing. */
export function unitOf(unit: string): string {
  if (unit.endsWith('.scope') || unit.endsWith('.slice')) return ''
  return unit.replace(/(?:@[^@]*)?\.(?:service|timer|socket|mount|target|path)$/, '')
}

/**
 * `shop/checkout` is `checkout` (OpenTelemetry puts the namespace first), and so is `serviceMonitor/shop/checkout/0`, the Prometheus Operator's.
 * https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#resource-attributes
 */
export function jobOf(job: string): string {
  const monitor = /(?:^|\/)(?:serviceMonitor|podMonitor|probe|scrapeConfig)\/[^/]+\/([^/]+)(?:\/\d+)?$/.exec(job)
  return monitor?.[1] ?? lastSegmentOf(job)
}

export function lastSegmentOf(value: string): string {
  return value.slice(value.lastIndexOf('/') + 1)
}

/** A pattern with one `{}` where the name stands and `*` for whatever else: `prod-{}-svc`, `*_{}_v*`. Undefined: no such pattern. */
export function patternOf(pattern: string): ((value: string) => string) | undefined {
  const parts = pattern.split('{}')
  if (parts.length !== 2) return undefined
  const before = parts[0]!.split('*')
  const after = parts[1]!.split('*')
  // `*{}` would leave open where the name begins, `{}*` where it ends.
  if ((before.length > 1 && before.at(-1) === '') || (after.length > 1 && after[0] === '')) return undefined
  return (value) => between(value, before, after)
}

/** From left to right, each piece where it comes first: linear, whatever pattern and value are. */
function between(value: string, before: readonly string[], after: readonly string[]): string {
  if (!value.startsWith(before[0]!)) return ''
  let at = before[0]!.length
  for (let i = 1; i < before.length; i++) {
    const found = value.indexOf(before[i]!, at)
    if (found < 0) return ''
    at = found + before[i]!.length
  }
  const start = at
  const last = after.at(-1)!
  const lastAt = value.length - last.length
  if (!value.endsWith(last) || lastAt <= start) return ''
  if (after.length === 1) return value.slice(start, lastAt)
  const end = value.indexOf(after[0]!, start + 1)
  if (end < 0) return ''
  at = end + after[0]!.length
  for (let i = 1; i < after.length - 1; i++) {
    const found = value.indexOf(after[i]!, at)
    if (found < 0) return ''
    at = found + after[i]!.length
  }
  return at <= lastAt ? value.slice(start, end) : ''
}
