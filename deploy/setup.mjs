/**
 * Makes a fresh clone ready: installs the locked packages when they are missing or older than the lock file, and builds when the
 * sources are newer than the build. Everything it says goes to stderr, so that a command's own output stays clean.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Tocsin needs Node.js 20.19 or newer; this is ${process.versions.node}.`)
  process.exit(1)
}

/** When the newest file under a folder changed, ms since the epoch; 0 when there is none. */
function newestMs(path) {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return 0
  if (!stat.isDirectory()) return stat.mtimeMs
  return readdirSync(path).reduce((newest, name) => Math.max(newest, newestMs(join(path, name))), 0)
}

function run(what, args) {
  console.error(`${what} …`)
  const startMs = performance.now()
  const result = spawnSync(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (result.status !== 0) {
    console.error(`${what} failed: npm ${args.join(' ')} ended with ${result.status ?? result.error?.message}.`)
    process.exit(1)
  }
  console.error(`${what} took ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
}

const installedMs = newestMs(join(root, 'node_modules/.package-lock.json'))
if (installedMs < newestMs(join(root, 'package-lock.json'))) {
  run('Installing packages', ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--include=dev', '--include=optional'])
}

const builtMs = newestMs(join(root, 'dist/.built'))
const sourceMs = Math.max(
  ...['src', 'deploy', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((p) => newestMs(join(root, p))),
)
if (!existsSync(join(root, 'dist/cli.js')) || builtMs < sourceMs) run('Building', ['run', '--silent', 'build'])
