/** Stories of things with a limit: which metrics make one, when its end is foretold, and when nothing is said. */
import { describe, expect, it } from 'vitest'
import { evaluate } from '../../bench/detect/forecast.ts'
import { ForecastDetector } from '../../src/detect/forecast/forecast.ts'
import { forecastConfig } from '../../src/detect/forecast/forecast-config.ts'
import { ResourceNames } from '../../src/detect/forecast/resource-name.ts'
import type { Anomaly, Batch, Series, SeriesType } from '../../src/model.ts'
import { batchOf, noise, seriesOf, START_MS, type Row } from './metric-feed.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const GB = 1e9

class Watch {
  readonly told: Anomaly[] = []
  detector: ForecastDetector
  constructor(config: Record<string, unknown> = {}) {
    this.detector = new ForecastDetector(forecastConfig.parse(config))
  }

  feed(...batches: Batch[]): void {
    for (const batch of batches) this.detector.detect(batch, (finding) => finding.kind === 'anomaly' && this.told.push(finding))
  }

  /** A sample of each every `stepMs`, and a tick after it. */
  play(fromMs: number, toMs: number, rows: (timeMs: number) => readonly Row[], stepMs = MINUTE): this {
    for (let timeMs = fromMs; timeMs < toMs; timeMs += stepMs) this.feed(batchOf(rows(timeMs)), { kind: 'tick', nowMs: timeMs + 500 })
    return this
  }

  /** The last word on each, in order of appearance. */
  get anomalies(): readonly Anomaly[] {
    return [...new Map(this.told.map((anomaly) => [anomaly.id, anomaly])).values()]
  }

  get outline(): readonly string[] {
    return this.anomalies.map(
      (one) => `${one.subject.split(':', 1)[0]!}${one.impact ? ' (felt)' : ''}${one.endMs === undefined ? '' : ' ended'}`,
    )
  }
}

const disk = { mountpoint: '/data', fstype: 'ext4' }
const avail = seriesOf('node_filesystem_avail_bytes', disk)
const size = seriesOf('node_filesystem_size_bytes', disk)
/** A disk of 100 GB of which so much is used. */
const diskAt =
  (used: (hours: number) => number, limit = 100 * GB) =>
  (timeMs: number): Row[] => {
    const hours = (timeMs - START_MS) / HOUR
    return [
      [avail, timeMs, limit - Math.min(limit, used(hours) * GB)],
      [size, timeMs, limit],
    ]
  }

describe('which metrics make a resource', () => {
  const gauge = (name: string, labels: Record<string, string> = {}, type: SeriesType = 'unknown'): Series => ({
    ...seriesOf(name, labels),
    type,
  })
  const part = (series: Series) => new ResourceNames().partOf(series)

  it.each<[string, Series, Series]>([
    ['node_filesystem', gauge('node_filesystem_avail_bytes', disk), gauge('node_filesystem_size_bytes', disk)],
    ['its inodes', gauge('node_filesystem_files_free', disk), gauge('node_filesystem_files', disk)],
    [
      'volumes',
      gauge('kubelet_volume_stats_available_bytes', { persistentvolumeclaim: 'a' }),
      gauge('kubelet_volume_stats_capacity_bytes', { persistentvolumeclaim: 'a' }),
    ],
    ['their inodes', gauge('kubelet_volume_stats_inodes_used'), gauge('kubelet_volume_stats_inodes')],
    ['memory of a node', gauge('node_memory_MemAvailable_bytes'), gauge('node_memory_MemTotal_bytes')],
    ['file descriptors', gauge('process_open_fds'), gauge('process_max_fds')],
    ['Hikari', gauge('hikaricp_connections_active', { pool: 'a' }), gauge('hikaricp_connections_max', { pool: 'a' })],
    ['JVM, Micrometer', gauge('jvm_memory_used_bytes', { id: 'G1 Old Gen' }), gauge('jvm_memory_max_bytes', { id: 'G1 Old Gen' })],
    [
      'JVM, OpenTelemetry',
      gauge('jvm_memory_used_bytes', { jvm_memory_pool_name: 'a' }),
      gauge('jvm_memory_limit_bytes', { jvm_memory_pool_name: 'a' }),
    ],
    [
      'connections, OpenTelemetry',
      gauge('db_client_connection_count', { state: 'used', pool: 'a' }, 'gauge'),
      gauge('db_client_connection_max', { pool: 'a' }, 'gauge'),
    ],
    [
      'file system, OpenTelemetry',
      gauge('system_filesystem_usage_bytes', { state: 'used', device: 'a' }),
      gauge('system_filesystem_usage_bytes', { state: 'free', device: 'a' }),
    ],
    ['volume, OpenTelemetry', gauge('k8s_volume_available_bytes'), gauge('k8s_volume_capacity_bytes')],
    ['Telegraf', gauge('disk_used_percent', { path: '/' }), gauge('disk_total', { path: '/' })],
    [
      'PostgreSQL',
      gauge('pg_stat_activity_count', { datname: 'a', state: 'idle', server: 'x' }),
      gauge('pg_settings_max_connections', { server: 'x' }),
    ],
    [
      'quota',
      gauge('kube_resourcequota', { namespace: 'a', resource: 'pods', type: 'used' }),
      gauge('kube_resourcequota', { namespace: 'a', resource: 'pods', type: 'hard' }),
    ],
    [
      'container, whoever tells its limit',
      gauge('container_memory_working_set_bytes', { namespace: 'a', pod: 'b', container: 'c', id: '/x' }),
      {
        ...gauge('kube_pod_container_resource_limits', { namespace: 'a', pod: 'b', container: 'c', resource: 'memory', node: 'n' }),
        service: 'kube-state-metrics',
      },
    ],
    ['conntrack', gauge('node_nf_conntrack_entries'), gauge('node_nf_conntrack_entries_limit')],
  ])('%s', (_, one, other) => {
    expect(part(one)?.part).toBeDefined()
    expect(part(other)?.part).not.toBe(part(one)!.part)
    expect(part(other)!.key).toBe(part(one)!.key)
  })

  it.each([
    ['a counter', gauge('db_connections_open', {}, 'counter')],
    ['a rate', gauge('node_disk_io_time_seconds_total')],
    ['a cache that is always full', gauge('redis_memory_cache_used_bytes')],
    ['what includes the page cache', gauge('container_memory_usage_bytes', { namespace: 'a', pod: 'b', container: 'c' })],
    ['memory that Linux keeps busy', gauge('node_memory_MemFree_bytes')],
    ['an image', gauge('node_filesystem_avail_bytes', { fstype: 'squashfs' })],
    ['reserved blocks', gauge('system_filesystem_usage_bytes', { state: 'reserved' })],
    ['CPU', gauge('cpu_usage_percent')],
    ['a share of what is free', gauge('system_memory_utilization_ratio', { state: 'free' })],
    ['a share of caches', gauge('system_memory_utilization_ratio', { state: 'cached' })],
    ['a hit ratio', gauge('memory_cache_hit_ratio')],
    [
      'the limit of a processor',
      gauge('kube_pod_container_resource_limits', { namespace: 'a', pod: 'b', container: 'c', resource: 'cpu' }),
    ],
    ['nothing with a limit', gauge('http_requests_total')],
  ])('%s does not', (_, series) => {
    expect(part(series)).toBeUndefined()
  })

  it('shares know what they are of', () => {
    expect(part(gauge('k8s_container_memory_limit_utilization_ratio'))).toMatchObject({ part: 'share', whole: 1 })
    expect(part(gauge('system_memory_utilization_ratio'))).toMatchObject({ part: 'share', whole: 1 })
    expect(part(gauge('disk_used_percent'))).toMatchObject({ part: 'share', whole: 100 })
  })
})

describe('a forecast', () => {
  it('a disk that fills steadily: foretold hours ahead, felt when it is certain and near, then full', () => {
    const z = noise(1)
    const watch = new Watch().play(
      START_MS,
      START_MS + 40.5 * HOUR,
      diskAt((hours) => 20 + 2 * hours + 0.2 * z()),
    )
    expect(watch.outline).toEqual(['will be full ended', 'full soon (felt) ended', 'full (felt)'])
    const [ahead, soon, full] = watch.anomalies
    // A quarter of what is known: told eight hours ahead after 32.
    expect((START_MS + 40 * HOUR - watch.told[0]!.atMs) / HOUR).toBeGreaterThan(6)
    expect(ahead).toMatchObject({
      detector: 'forecast',
      symptom: 'saturation',
      direction: 'up',
      unit: 'ratio',
      service: 'shop',
      instance: 'shop-1',
    })
    expect(ahead!.subject).toBe('will be full: disk space node_filesystem_avail_bytes {fstype="ext4", mountpoint="/data"}')
    expect(watch.told[0]!.evidence).toEqual([
      expect.stringMatching(/^Full in \d+ h(?: \d+ min)? \(four of five times between .+ and .+\) at the pace of the last .+\.$/),
      expect.stringMatching(/^It is \d\d(?:\.\d)? % of 100 GB now, \d\d(?:\.\d)? GB are left\.$/),
      expect.stringMatching(/^It rises by \d(?:\.\d+)? GB an hour; that is \d+\.\d standard errors from not rising\.$/),
    ])
    const minutesBefore = (START_MS + 40 * HOUR - soon!.startMs) / MINUTE
    expect(minutesBefore).toBeGreaterThan(5)
    expect(minutesBefore).toBeLessThanOrEqual(35)
    expect(full!.observed).toBeGreaterThan(0.99)
    expect(full!.evidence[0]).toBe('It is full.')
    expect(ahead!.points.observed.length).toBeGreaterThan(24)
  })

  it('freeing space ends it', () => {
    const used = (hours: number) => (hours < 38 ? 20 + 2 * hours : 30)
    const watch = new Watch().play(START_MS, START_MS + 40 * HOUR, diskAt(used))
    expect(watch.outline).toEqual(['will be full ended'])
    expect(watch.anomalies[0]!.endMs! - START_MS).toBeLessThan(38.5 * HOUR)
    expect(watch.anomalies[0]!.evidence).toEqual(['It no longer rises towards its limit.', 'It is 30 % of 100 GB now, 70 GB are left.'])
  })

  it('a larger disk is another limit', () => {
    const small = diskAt((hours) => 20 + 2 * hours)
    const large = diskAt((hours) => 20 + 2 * hours, 1000 * GB)
    const watch = new Watch().play(START_MS, START_MS + 40 * HOUR, (timeMs) =>
      timeMs < START_MS + 38 * HOUR ? small(timeMs) : large(timeMs),
    )
    expect(watch.outline).toEqual(['will be full ended'])
  })

  it.each<[string, (hours: number) => number]>([
    ['it is full and always was', () => 100],
    ['it hovers near its limit', (hours) => 97 + Math.sin(hours * 7)],
    ['it shrinks', (hours) => 90 - hours],
    ['nothing happens', () => 50],
    ['one sample is far out', (hours) => (hours === 30 ? 99 : 50)],
    ['it is written at once and stays', (hours) => (hours < 20 ? 30 : 85)],
  ])('is not made where %s', (_, used) => {
    expect(new Watch().play(START_MS, START_MS + 40 * HOUR, diskAt(used)).told).toEqual([])
  })

  it.each<[string, number]>([
    ['0', 0],
    ['−1', -1],
    ['NaN', Number.NaN],
    ['infinite', Number.POSITIVE_INFINITY],
    ['2^63', 2 ** 63],
    ['the largest page below it', 9_223_372_036_854_771_712],
  ])('a limit of %s is none', (_, limit) => {
    const labels = { namespace: 'a', pod: 'b', container: 'c' }
    const used = seriesOf('container_memory_working_set_bytes', labels)
    const spec = seriesOf('container_spec_memory_limit_bytes', labels)
    const watch = new Watch().play(START_MS, START_MS + 8 * HOUR, (timeMs) => [
      [used, timeMs, 1e18 + ((timeMs - START_MS) / HOUR) * 1e18],
      [spec, timeMs, limit],
    ])
    expect(watch.told).toEqual([])
  })

  it('a limit that moves with the level is soon found to be none, and pages nobody until then', () => {
    const used = seriesOf('app_pool_connections_active')
    const max = seriesOf('app_pool_connections_max')
    const watch = new Watch().play(
      START_MS,
      START_MS + 2 * DAY,
      (timeMs) => {
        const level = 20 + (timeMs - START_MS) / HOUR
        return [
          [used, timeMs, level],
          [max, timeMs, Math.ceil(level)],
        ]
      },
      5 * MINUTE,
    )
    expect(watch.told.filter(({ impact, startMs }) => impact || startMs > START_MS + 4 * HOUR)).toEqual([])
  })

  it('more used than there is, absurd and damaged samples neither throw nor are foretold', () => {
    const values = [Number.NaN, Number.POSITIVE_INFINITY, -5, 1e308, 200 * GB, 0]
    const watch = new Watch().play(START_MS, START_MS + 10 * HOUR, (timeMs) => [
      [avail, timeMs, values[(timeMs / MINUTE) % values.length]!],
      [size, timeMs, 100 * GB],
      [seriesOf('__proto___disk_used_percent', { path: '__proto__' }), timeMs, values[(timeMs / MINUTE + 1) % values.length]!],
    ])
    expect(watch.told.filter(({ impact }) => impact)).toEqual([])
    expect(watch.detector.counts()).toMatchObject({ resources: 2 })
  })

  it('a pool is the sum of what is open for each database and state', () => {
    const settings = seriesOf('pg_settings_max_connections', { server: 'x' })
    const watch = new Watch().play(START_MS, START_MS + 12 * HOUR, (timeMs) => {
      const hours = (timeMs - START_MS) / HOUR
      return [
        ...['active', 'idle'].map((state): Row => [
          seriesOf('pg_stat_activity_count', { datname: 'a', state, server: 'x' }),
          timeMs,
          5 + 3.5 * hours,
        ]),
        [settings, timeMs, 100],
      ]
    })
    expect(watch.anomalies[0]?.subject).toContain('will be full: connections pg_stat_activity_count')
  })

  it('what is full for hours is one anomaly, and says so until it is not', () => {
    const used = (hours: number) => (hours < 41 ? Math.min(100, 20 + 2 * hours) - (hours > 40 && (hours * 30) % 2 < 1 ? 1 : 0) : 30)
    const watch = new Watch().play(START_MS, START_MS + 42 * HOUR, diskAt(used))
    expect(watch.outline).toEqual(['will be full ended', 'full soon (felt) ended', 'full (felt) ended'])
    expect(watch.anomalies.at(-1)!.evidence[0]).toBe('It no longer rises towards its limit.')
  })

  it('a share speaks of shares', () => {
    const share = seriesOf('disk_used_percent', { path: '/' })
    const watch = new Watch().play(START_MS, START_MS + 36 * HOUR, (timeMs) => [[share, timeMs, 20 + (2 * (timeMs - START_MS)) / HOUR]])
    expect(watch.told[0]!.evidence.slice(1)).toEqual([
      expect.stringMatching(/^It is \d\d(?:\.\d)? % full now\.$/),
      expect.stringMatching(/^It rises by 2 % an hour; /),
    ])
  })

  it('threads that are busy by day are foretold on the first morning, and page nobody', () => {
    const z = noise(9)
    const busy = seriesOf('tomcat_threads_busy_threads')
    const max = seriesOf('tomcat_threads_config_max_threads')
    const watch = new Watch().play(START_MS, START_MS + 4 * DAY, (timeMs) => {
      const hour = ((timeMs - START_MS) / HOUR) % 24
      const load = hour < 8 || hour > 18 ? 20 : hour < 10 ? 20 + 37.5 * (hour - 8) : 95
      return [
        [busy, timeMs, Math.round(load + 1.5 * z())],
        [max, timeMs, 100],
      ]
    })
    expect(watch.outline).toEqual(['will be full ended'])
  })

  it('a pool that is full at noon, minute by minute, pages nobody on its first day', () => {
    const z = noise(1)
    const active = seriesOf('hikaricp_connections_active', { pool: 'a' })
    const max = seriesOf('hikaricp_connections_max', { pool: 'a' })
    const watch = new Watch().play(START_MS, START_MS + 2 * DAY, (timeMs) => {
      const load = 4.5 + 4 * Math.sin(((timeMs - START_MS) / HOUR / 12 - 2 / 3) * Math.PI)
      return [
        [active, timeMs, Math.min(10, Math.max(0, Math.round(load + 0.8 * z())))],
        [max, timeMs, 10],
      ]
    })
    expect(watch.told.filter(({ impact }) => impact)).toEqual([])
  })

  const container = { namespace: 'a', pod: 'b', container: 'c' }
  it.each<[string, (timeMs: number, hours: number) => Row[]]>([
    [
      'what tells its limit was restarted',
      (timeMs, hours) => [
        [seriesOf('container_memory_working_set_bytes', container), timeMs, (20 + 2 * hours) * GB],
        [
          seriesOf('kube_pod_container_resource_limits', { ...container, resource: 'memory', uid: hours < 30 ? 'x' : 'y' }),
          timeMs,
          100 * GB,
        ],
      ],
    ],
    [
      'two tell the same',
      (timeMs, hours) =>
        ['x', 'y'].flatMap((replica): Row[] => [
          [seriesOf('container_memory_working_set_bytes', { ...container, replica }), timeMs, (20 + 2 * hours) * GB],
          [seriesOf('container_spec_memory_limit_bytes', { ...container, replica }), timeMs, 100 * GB],
        ]),
    ],
  ])('a container is as full as it is although %s', (_, rows) => {
    const watch = new Watch().play(START_MS, START_MS + 39 * HOUR, (timeMs) => rows(timeMs, (timeMs - START_MS) / HOUR))
    expect(watch.anomalies[0]?.subject).toContain('will be full: memory')
    expect(watch.told.at(-1)!.evidence[1]).toMatch(/^It is 9\d(?:\.\d)? % of 100 GB now/)
  })

  it('connections whose series ended are not counted on', () => {
    const settings = seriesOf('pg_settings_max_connections', { server: 'x' })
    // Every two minutes another client has the eight connections; seven such clients would fill the pool.
    const watch = new Watch().play(START_MS, START_MS + 30 * HOUR, (timeMs) => {
      const hours = (timeMs - START_MS) / HOUR
      const client = seriesOf('pg_stat_activity_count', { state: 'active', server: 'x', client: String(Math.floor(hours * 30)) })
      const [growing, level] = [seriesOf('pg_stat_activity_count', { state: 'idle', server: 'x' }), 30 + hours]
      return [
        [client, timeMs, 8],
        [growing, timeMs, level],
        [settings, timeMs, 100],
      ]
    })
    const [ahead] = watch.anomalies
    // 38 + hours of 100: it is full after 62 hours, and not one before.
    for (const { observed } of watch.told) expect(observed).toBeLessThan(0.8)
    expect(ahead?.impact ?? false).toBe(false)
    expect(watch.detector.counts()).toMatchObject({ resources: 1 })
  })

  it('more resources than there is room for are refused and counted', () => {
    const watch = new Watch({ maxResources: 10 })
    const rows = Array.from({ length: 50 }, (_, i): Row => [seriesOf('disk_used_percent', { path: String(i) }), START_MS, 50])
    watch.feed(batchOf(rows), { kind: 'tick', nowMs: START_MS + 1 })
    expect(watch.detector.counts()).toEqual({ resources: 10, foretold: 0, refused_resources: 40, late_samples: 0 })
  })
})

describe('a certificate', () => {
  const certificate = seriesOf('probe_ssl_earliest_cert_expiry', { target: 'https://shop.example' })
  const expiry =
    (endMs: (timeMs: number) => number) =>
    (timeMs: number): Row[] => [[certificate, timeMs, endMs(timeMs) / 1000]]

  it('that ends in two weeks is told with its date, and renewing it ends that', () => {
    const first = START_MS + 15 * DAY
    const renewed = first + 90 * DAY
    const watch = new Watch().play(
      START_MS,
      START_MS + 4 * DAY,
      expiry((timeMs) => (timeMs < START_MS + 3 * DAY ? first : renewed)),
      10 * MINUTE,
    )
    expect(watch.anomalies).toMatchObject([{ symptom: 'other', direction: 'down', impact: false, endMs: START_MS + 3 * DAY }])
    expect(watch.told[0]!.evidence[0]).toMatch(
      /^It ends in 14 d, at 2026-01-20T09:00:00\.000Z\.$|^It ends in 13 d 2\d h, at 2026-01-20T09:00:00\.000Z\.$/,
    )
    expect(watch.detector.counts()).toMatchObject({ foretold: 0 })
  })

  it('that lives for a day is told once it is renewed later than usual', () => {
    // Renewed when half of it is left, twice; then no more.
    const end = (timeMs: number) => START_MS + DAY + Math.min(2, Math.floor((timeMs - START_MS) / (12 * HOUR))) * 12 * HOUR
    const watch = new Watch().play(START_MS, START_MS + 46 * HOUR, expiry(end), 5 * MINUTE)
    const last = watch.anomalies.at(-1)!
    expect(last.endMs).toBeUndefined()
    expect((START_MS + 48 * HOUR - last.startMs) / HOUR).toBeCloseTo(24 * 0.2, 0)
  })
})

it('a restored detector goes on as if nothing had happened, whatever the batches', () => {
  const z = noise(5)
  const samples: Row[][] = []
  for (let timeMs = START_MS; timeMs < START_MS + 40 * HOUR; timeMs += 2 * MINUTE) {
    const hours = (timeMs - START_MS) / HOUR
    samples.push([
      ...diskAt((h) => 20 + 2 * h + 0.2 * z())(timeMs),
      [seriesOf('jvm_memory_used_bytes', { id: 'old' }), timeMs, 30 + 10 * (hours % 1)],
      [seriesOf('jvm_memory_max_bytes', { id: 'old' }), timeMs, 100],
      [seriesOf('probe_ssl_earliest_cert_expiry'), timeMs, START_MS / 1000 + 9 * 86_400],
    ])
  }
  const whole = new Watch()
  const broken = new Watch()
  for (const [i, rows] of samples.entries()) {
    const tick: Batch = { kind: 'tick', nowMs: rows[0]![1] + 500 }
    whole.feed(batchOf(rows), tick)
    for (const row of rows) broken.feed(batchOf([row]))
    broken.feed(tick)
    if (i % 97 !== 50) continue
    const bytes = broken.detector.snapshot()
    broken.detector = new Watch().detector
    broken.detector.restore(bytes)
    expect(broken.detector.snapshot()).toEqual(bytes)
  }
  expect(whole.told.length).toBeGreaterThan(10)
  expect(broken.told).toEqual(whole.told)
})

it('of a heap what is left after a collection says when it is full, wherever it stands just now', () => {
  const { fills } = evaluate({ series: 3, scrapeMinutes: [2], kinds: ['heap that leaks'] })
  expect(fills.foretold).toBe(1)
  expect(fills.coverage).toBeGreaterThan(0.6)
})

it('holds what it promises on made-up histories', () => {
  const kinds = [
    'leak with noise',
    'sudden (20 min – 2 h)',
    'days, rising',
    'sawtooth',
    'days',
    'nightly batch to 80 %',
    'hovers at 60 to 93 %',
  ]
  const { fills, others } = evaluate({ series: 2, scrapeMinutes: [2], seed: 40, kinds })
  expect(fills.foretold).toBeGreaterThanOrEqual(0.8)
  expect(fills.coverage).toBeGreaterThan(0.6)
  expect(others.falsePerWeek).toBeLessThan(0.6)
  expect(others.falsePagesPerWeek).toBe(0)
})
