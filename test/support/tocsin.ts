/**
 * The real program as child processes, for acceptance tests: started from the build, watched for readiness, killed like a crash.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** The built command line. */
export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

export interface RunningTocsin extends AsyncDisposable {
  readonly url: string
  readonly pid: number
  /** What it has printed and logged so far. */
  readonly output: () => string
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
  /** SIGKILL, as the machine would. */
  kill(): Promise<void>
  /** Resolves when it ends by itself. */
  readonly ended: Promise<number | null>
}

/** Starts `tocsin ARGS`; resolves when /-/ready answers 200 at `port`. Throws with its output when it ends before that. */
export async function startTocsin(args: readonly string[], port: number, timeoutMs = 60_000): Promise<RunningTocsin> {
  const child: ChildProcess = spawn(process.execPath, [CLI, ...args, '--set', `http.port=${port}`], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-200_000)))
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  const url = `http://127.0.0.1:${port}`
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  const deadline = performance.now() + timeoutMs
  while (!(await isReady(url))) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`tocsin ${args.join(' ')} ended with ${child.exitCode ?? child.signalCode}:\n${output}`)
    if (performance.now() > deadline) {
      await kill()
      throw new Error(`tocsin ${args.join(' ')} was not ready after ${timeoutMs} ms:\n${output}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return {
    url,
    pid: child.pid!,
    output: () => output,
    ended,
    kill,
    async stop() {
      child.kill('SIGTERM')
      return ended
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      const patience = setTimeout(() => child.kill('SIGKILL'), 15_000)
      await ended
      clearTimeout(patience)
    },
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(2_000) })).ok
  } catch {
    return false // not listening yet
  }
}

/** Rows that a process has taken in so far, by door, from its /metrics. */
export async function rowsByDoor(url: string): Promise<Readonly<Record<string, number>>> {
  return countersOf(url, 'tocsin_door_rows_total', 'door')
}

/** The values of a counter by one of its labels. */
export async function countersOf(url: string, name: string, label: string): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const counts: Record<string, number> = {}
  for (const line of text.split('\n').filter((each) => each.startsWith(`${name}{`))) {
    const by = new RegExp(`[{,]${label}="([^"]*)"`).exec(line)?.[1]
    if (by !== undefined) counts[by] = (counts[by] ?? 0) + Number(line.slice(line.lastIndexOf(' ') + 1))
  }
  return counts
}
