/**
 * Which real programs are on this machine. A suite that needs one says so; without it the suite is skipped by name, or, with
 * TOCSIN_REQUIRE_SERVICES=1, fails and says how to install it.
 *
 *   const run = requireOrSkip('kafka')
 *   run('the Kafka transport', () => { … })      // describe or describe.skip
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe } from 'vitest'

export type Service =
  | 'kafka'
  | 'kcat'
  | 'openssl'
  | 'postgres'
  | 'prometheus'
  | 'node-exporter'
  | 'alertmanager'
  | 'chromium'
  | 'curl'
  | 'syslog-ng'
  | 'vmagent'
  | 'built-vmagent'

const install = 'bash .ci/install-services (Debian, as root) installs all of them'

/** Full path of a program on the PATH. */
export function which(...names: string[]): string | undefined {
  for (const name of names) {
    for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
      if (folder !== '' && existsSync(join(folder, name))) return join(folder, name)
    }
  }
  return undefined
}

/** The folder with initdb and pg_ctl of the newest PostgreSQL: Debian keeps them off the PATH. */
export function postgresBin(): string | undefined {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).filter((v) => existsSync(join(root, v, 'bin', 'initdb'))) : []
  const newest = versions.sort((a, b) => Number(a) - Number(b)).at(-1)
  if (newest !== undefined) return join(root, newest, 'bin')
  const found = which('initdb')
  return found === undefined ? undefined : join(found, '..')
}

const absent = (...names: string[]) => (which(...names) === undefined ? `no ${names[0]} on the PATH` : undefined)

export const cacheFolder = (name: string) => join(process.env['XDG_CACHE_HOME'] ?? join(process.env['HOME'] ?? '/root', '.cache'), name)

/** Where `.ci/senders/build` puts a program. */
export function builtSender(name: string): string {
  const versions = readFileSync(new URL('../../.ci/senders/versions', import.meta.url), 'utf8')
  const version = new RegExp(`^${name} (\\S+)$`, 'm').exec(versions)?.[1]
  if (version === undefined) throw new Error(`.ci/senders/versions does not name ${name}`)
  return join(process.env['TOCSIN_SENDERS'] ?? cacheFolder('tocsin-senders'), `${name}-${version}`, name)
}

/** What is missing for a service; undefined: nothing. */
const checks: Readonly<Record<Service, () => string | undefined>> = {
  kafka: () => absent('java') ?? (kafkaJarsCached() ? undefined : absent('mvn')),
  kcat: () => absent('kcat', 'kafkacat'),
  openssl: () => absent('openssl'),
  postgres: () => (postgresBin() === undefined ? 'no initdb under /usr/lib/postgresql or on the PATH' : undefined),
  prometheus: () => absent('prometheus'),
  'node-exporter': () => absent('prometheus-node-exporter'),
  alertmanager: () => absent('prometheus-alertmanager', 'alertmanager'),
  chromium: () => absent('chromium', 'chromium-browser', 'google-chrome'),
  curl: () => absent('curl'),
  'syslog-ng': () => absent('syslog-ng'),
  vmagent: () => absent('vmagent'),
  'built-vmagent': () => (existsSync(builtSender('vmagent')) ? undefined : 'bash .ci/senders/install-vmagent has not built it'),
}

function kafkaJarsCached(): boolean {
  const libs = join(cacheFolder('tocsin-kafka'), 'libs')
  return existsSync(libs) && readdirSync(libs).some((version) => existsSync(join(libs, version, '.complete')))
}

/** `describe`, or a `describe.skip` that says why in its name. */
export function requireOrSkip(...services: readonly Service[]): (name: string, suite: () => void) => void {
  const lacking = services.flatMap((service) => {
    const what = checks[service]()
    return what === undefined ? [] : [`${service}: ${what}`]
  })
  if (lacking.length === 0) return (name, suite) => void describe(name, suite)
  if (process.env['TOCSIN_REQUIRE_SERVICES'] === '1') throw new Error(`TOCSIN_REQUIRE_SERVICES=1, but ${lacking.join('; ')}. ${install}`)
  return (name, suite) => void describe.skip(`${name} (skipped: ${lacking.join('; ')}; ${install})`, suite)
}
