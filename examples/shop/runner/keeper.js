/**
 * Keeps the programs that are not ours (PostgreSQL, Prometheus): a process forked by the runner that starts them and, when told
 * to or when the runner is gone (also by kill -9), stops them in reverse order and removes the run's directory. The Node
 * services need no keeper, they watch the runner themselves.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync, rmSync } from 'node:fs'

const PATIENCE_MS = 4000
const programs = []
let removeDir
let ending = false

process.on('message', (message) => {
  if (message.removeDir) removeDir = message.removeDir
  if (message.spawn) start(message.spawn)
})
process.on('disconnect', () => void end())
process.on('SIGTERM', () => void end())
process.on('SIGINT', () => {}) // Ctrl-C reaches the whole group; the runner decides the order.

function start({ name, file, args, log, user, env, stopSignal }) {
  const out = openSync(log, 'a')
  // Its own process group (detached), or Ctrl-C would stop it before the services are done with it.
  const program = spawn(file, args, { stdio: ['ignore', out, out], cwd: '/', detached: true, env, ...user })
  closeSync(out)
  const gone = new Promise((resolve) => {
    program.once('exit', (code) => resolve(code))
    program.once('error', (err) => resolve(err.message))
  })
  programs.unshift({ program, gone, stopSignal })
  process.send({ spawned: name, pid: program.pid })
  void gone.then((code) => !ending && process.send({ exited: name, code }))
}

async function end() {
  if (ending) return
  ending = true
  for (const { program, gone, stopSignal } of programs) {
    if (!program.pid) continue
    program.kill(stopSignal)
    const hard = setTimeout(() => program.kill('SIGKILL'), PATIENCE_MS)
    await gone
    clearTimeout(hard)
  }
  if (removeDir) rmSync(removeDir, { recursive: true, force: true, maxRetries: 3 })
  process.exit(0)
}
