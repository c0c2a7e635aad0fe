/**
 * What a JSON line says of its source, as the labels that a log stream would have: fields that have the name of a label, the names that shippers and
 * journals give them, and the objects in which Kubernetes filters, Elastic's common schema and OpenTelemetry put them.
 */
import { JsonFields, JsonKind } from '../wire/json-fields.ts'
import type { Naming } from '../naming/naming.ts'

interface Shape {
  readonly fields: readonly (readonly [field: string, label: string])[]
  readonly objects?: Readonly<Record<string, Shape>>
}

/** Fields that stand for a label, beside those that have its name. */
const OTHER_NAMES: readonly (readonly [field: string, label: string])[] = [
  // GELF puts an underscore before all that is not its own: https://go2docs.graylog.org/current/getting_in_log_data/gelf.html
  ['_service', 'service'],
  ['_service_name', 'service_name'],
  ['_app', 'app'],
  ['_container_name', 'container_name'],
  ['application', 'app'],
  ['app_name', 'app'],
  // journald and the properties of rsyslog
  ['SYSLOG_IDENTIFIER', 'syslog_identifier'],
  ['programname', 'syslog_identifier'],
  ['app-name', 'syslog_identifier'],
  ['appname', 'syslog_identifier'],
  ['ident', 'syslog_identifier'],
  ['_SYSTEMD_UNIT', 'unit'],
  ['_HOSTNAME', 'hostname'],
]

/** Objects that hold what names the source, and the label that each of their fields stands for. Elastic's common schema nests so. */
const KUBERNETES_LABELS: Shape = {
  fields: [
    ['app.kubernetes.io/name', 'app_kubernetes_io_name'],
    ['app', 'app'],
    ['k8s-app', 'app'],
    ['app.kubernetes.io/version', 'app_kubernetes_io_version'],
  ],
}
const NAME_ONLY: Shape = { fields: [['name', 'pod']] }
const RESOURCE: Shape = {
  fields: [
    ['service.name', 'service_name'],
    ['service.version', 'service_version'],
    ['service.instance.id', 'service_instance_id'],
    ['k8s.deployment.name', 'k8s_deployment_name'],
    ['k8s.pod.name', 'k8s_pod_name'],
    ['host.name', 'host'],
  ],
}
const OBJECTS: Readonly<Record<string, Shape>> = {
  kubernetes: {
    fields: [
      ['pod_name', 'pod'],
      ['container_name', 'container'],
    ],
    objects: { labels: KUBERNETES_LABELS, pod: NAME_ONLY, deployment: { fields: [['name', 'k8s_deployment_name']] } },
  },
  service: {
    fields: [
      ['name', 'service_name'],
      ['version', 'service_version'],
    ],
  },
  resource: { ...RESOURCE, objects: { attributes: RESOURCE } },
  container: { fields: [['name', 'container']] },
  host: { fields: [['name', 'host']] },
  fields: {
    fields: [
      ['service', 'service'],
      ['app', 'app'],
    ],
  },
}
/** Knows the fields of one kind of object, and of what is nested in it. Reused for each line. */
class SourceFields {
  readonly json: JsonFields
  /** By slot. */
  readonly #labels: readonly (string | undefined)[]
  readonly #nested: readonly (SourceFields | undefined)[]

  /** `others`: fields that are no labels, in the first slots. */
  constructor(shape: Shape, others: readonly string[] = []) {
    const labels = new Map(shape.fields)
    const objects = new Map(Object.entries(shape.objects ?? {}))
    this.json = new JsonFields([...new Set([...others, ...labels.keys(), ...objects.keys()])])
    this.#labels = this.json.table.names.map((name) => labels.get(name))
    this.#nested = this.json.table.names.map((name) => {
      const inner = objects.get(name)
      return inner === undefined ? undefined : new SourceFields(inner)
    })
  }

  /** Adds the labels that the object scanned last has: its own first, so that they win. */
  collect(bytes: Buffer, maxChars: number, labels: [name: string, value: string][]): void {
    const { json } = this
    for (let slot = 0; slot < json.table.names.length; slot++) {
      const label = this.#labels[slot]
      if (label === undefined || !json.has(slot)) continue
      const value = json.text(slot, bytes)
      if (value !== undefined && value !== '' && value.length <= maxChars) labels.push([label, value])
    }
    for (let slot = 0; slot < json.table.names.length; slot++) {
      const inner = this.#nested[slot]
      if (inner === undefined || !json.has(slot) || json.kind[slot] !== JsonKind.object) continue
      if (inner.json.scan(bytes, json.from[slot]!, json.to[slot]!)) inner.collect(bytes, maxChars, labels)
    }
  }
}

export type { SourceFields }

const byNaming = new WeakMap<Naming, SourceFields>()

/** For lines that are named by these rules. The first slots of its `json` are `others`. */
export function sourceFieldsOf(naming: Naming, others: readonly string[]): SourceFields {
  let fields = byNaming.get(naming)
  if (fields === undefined) {
    const own = naming.logLabels.filter((name) => !others.includes(name)).map((name) => [name, name] as const)
    fields = new SourceFields({ fields: [...OTHER_NAMES, ...own], objects: OBJECTS }, others)
    byNaming.set(naming, fields)
  }
  return fields
}
