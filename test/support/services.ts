/**
 * Which real programs are on this machine. A suite that needs one says so; without it the suite is skipped by name, or, with
 * TOCSIN_REQUIRE_SERVICES=1, fails and says how to install it.
 *
 *   const run = requireOrSkip('kafka')
 *   run('the Kafka transport', () => { … })      // describe or describe.skip
 */
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe } from 'vitest'

export type Service = 'kafka' | 'kcat' | 'postgres' | 'prometheus' | 'alertmanager' | 'chromium'

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

/** What is missing for this service; undefined: nothing. */
export function missing(service: Service): string | undefined {
  switch (service) {
    case 'kafka':
      if (which('java') === undefined) return 'no java on the PATH (17 or newer)'
      return which('mvn') === undefined && !kafkaJarsCached() ? 'no mvn on the PATH to fetch the jars of Kafka with' : undefined
    case 'postgres':
      return postgresBin() === undefined ? 'no initdb under /usr/lib/postgresql or on the PATH' : undefined
    case 'prometheus':
      return which('prometheus') === undefined ? 'no prometheus on the PATH' : undefined
    case 'alertmanager':
      return which('prometheus-alertmanager', 'alertmanager') === undefined ? 'no prometheus-alertmanager on the PATH' : undefined
    case 'chromium':
      return which('chromium', 'chromium-browser', 'google-chrome') === undefined ? 'no chromium on the PATH' : undefined
    case 'kcat':
      return which('kcat', 'kafkacat') === undefined ? 'no kcat on the PATH' : undefined
  }
}

function kafkaJarsCached(): boolean {
  const libs = join(process.env['XDG_CACHE_HOME'] ?? join(process.env['HOME'] ?? '/root', '.cache'), 'tocsin-kafka', 'libs')
  return existsSync(libs) && readdirSync(libs).some((version) => existsSync(join(libs, version, '.complete')))
}

/** `describe`, or a `describe.skip` that says why in its name. */
export function requireOrSkip(...services: readonly Service[]): (name: string, suite: () => void) => void {
  const lacking = services.flatMap((service) => {
    const what = missing(service)
    return what === undefined ? [] : [`${service}: ${what}`]
  })
  if (lacking.length === 0) return (name, suite) => void describe(name, suite)
  if (process.env['TOCSIN_REQUIRE_SERVICES'] === '1') throw new Error(`TOCSIN_REQUIRE_SERVICES=1, but ${lacking.join('; ')}. ${install}`)
  return (name, suite) => void describe.skip(`${name} (skipped: ${lacking.join('; ')}; ${install})`, suite)
}
