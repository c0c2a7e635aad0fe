/**
 * Running programs in tests: free ports, temporary folders, and a reaper that ends what a test process started even when that
 * process is killed itself.
 */
import { execFile, spawn } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const exec = promisify(execFile)

/** Ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Runs a script of .ci to its end; what it printed on failure becomes the error. */
export async function runScript(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const path = new URL(`../../.ci/${script}`, import.meta.url).pathname
  try {
    const { stdout } = await exec('bash', [path, ...args], { env: { ...process.env, ...env }, maxBuffer: 16 * 1024 * 1024 })
    return stdout.trim()
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string }
    throw new Error(`${script} ${args.join(' ')}: ${stderr?.trim() || message}`, { cause: error })
  }
}

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string
}

/**
 * A folder that goes away with dispose or with this process, whichever is first; before that `lastWords`, a line of shell
 * with the folder in $dir, ends what still runs in it.
 */
export async function temporaryFolder(name: string, lastWords = ':'): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), `tocsin-${name}-`))
  await chmod(path, 0o755) // PostgreSQL's user must be able to enter
  const reaper = spawn('sh', ['-c', `cat >/dev/null; dir=$0; ${lastWords}; rm -rf "$dir"`, path], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  reaper.unref()
  ;(reaper.stdin as unknown as { unref(): void }).unref()
  const ended = new Promise<void>((resolve) => reaper.once('exit', () => resolve()))
  return {
    path,
    async [Symbol.asyncDispose]() {
      reaper.ref()
      reaper.stdin.end()
      await ended
      await rm(path, { recursive: true, force: true })
    },
  }
}
