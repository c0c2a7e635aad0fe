/**
 * Completes package-lock.json with the optional packages of other platforms that a registry does not serve. `npm install` leaves them
 * out there without a word, and `npm ci` then refuses the lock file. Run it after each `npm install`.
 *
 *   node .ci/fix-lock.mjs [package-lock.json]
 */
import { readFileSync, writeFileSync } from 'node:fs'

const file = process.argv[2] ?? 'package-lock.json'
const lock = JSON.parse(readFileSync(file, 'utf8'))
const packages = lock.packages

const systems = { windows: 'win32' }
for (const name of ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'])
  systems[name] = name
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32']

/** As npm looks: beside the package that wants it, then in each folder above. */
function isLocked(wantedBy, name) {
  for (let folder = wantedBy; ;) {
    if (packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`]) return true
    if (folder === '') return false
    const above = folder.lastIndexOf('/node_modules/')
    folder = above < 0 ? '' : folder.slice(0, above)
  }
}

/** Platform packages carry theirs in the name: `@scope/tool-linux-x64-musl`. */
function entryFor(name, version) {
  const words = name.split('/').at(-1).split('-')
  const os = words.map((word) => systems[word]).find((found) => found !== undefined)
  const cpu = processors.find((found) => words.includes(found))
  if (os === undefined) return undefined
  const libc = words.some((word) => word.startsWith('musl')) ? 'musl' : 'glibc'
  return { version, optional: true, os: [os], ...(cpu && { cpu: [cpu] }), ...(os === 'linux' && { libc: [libc] }) }
}

let added = 0
for (const [path, { optionalDependencies = {} }] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    if (!/^\d/.test(version) || isLocked(path, name)) continue
    const entry = entryFor(name, version)
    if (entry === undefined) {
      console.error(`${name}: no platform in its name, left out`)
      continue
    }
    packages[`node_modules/${name}`] = entry
    added++
  }
}
lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${file}: ${added} packages of other platforms added`)
