/**
 * A process that is meant to be killed: started without waiting for it, so that it can die at any moment of its life, and told apart
 * from others by the role it plays. Its group and its parent do not matter: SIGKILL goes to the one process.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CLI } from './tocsin.ts'

export type Role = 'ingest' | 'detect' | 'correlate' | 'notify' | 'web'

const DOORS = fileURLToPath(new URL('chaos-ingest.js', import.meta.url))

export class RoleProcess {
  readonly role: Role
  readonly ended: Promise<unknown>
  /** Resolves with its URL when it has started, rejects when it ended before that. */
  readonly started: Promise<string>
  readonly #child: ChildProcess
  #output = ''
  #dead = false

  /** `folder` gets a file with the process' number, so that who cleans the folder up can end it. */
  constructor(role: Role, configFile: string, folder: string) {
    this.role = role
    const args = role === 'ingest' ? [DOORS, configFile] : [CLI, 'run', '--config', configFile, '--role', role]
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    if (this.#child.pid !== undefined) writeFileSync(join(folder, `${this.#child.pid}.pid`), `${this.#child.pid}\n`)
    this.ended = once(this.#child, 'exit').then(() => (this.#dead = true))
    this.started = new Promise((resolve, reject) => {
      const look = (text: string) => {
        this.#output = (this.#output + text).slice(-60_000)
        const url = /"event":"started","url":"([^"]+)"/.exec(this.#output)?.[1]
        if (url !== undefined) resolve(url)
      }
      for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.setEncoding('utf8').on('data', look)
      void this.ended.then(() => reject(new Error(`${role} ended before it had started:\n${this.#output}`)))
    })
    this.started.catch(() => undefined) // most do not wait for it
  }

  get output(): string {
    return this.#output
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get alive(): boolean {
    return !this.#dead
  }

  async kill(): Promise<void> {
    if (!this.#dead) this.#child.kill('SIGKILL')
    await this.ended
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.ended
  }
}
