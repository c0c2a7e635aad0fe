/** Child processes of the runner, tied to it by their IPC channel: when the runner goes, however it goes, they end themselves. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'

/** Forks `file` with only the environment given, its output going to DIR/NAME.log. */
export function child({ name, file, dir, env = {}, execArgv = [], patienceMs = 6000, onExit }) {
  const out = openSync(join(dir, `${name}.log`), 'a')
  const { PATH, HOME, TMPDIR } = process.env
  const process_ = fork(file, [], { stdio: ['ignore', out, out, 'ipc'], execArgv, env: { PATH, HOME, TMPDIR, ...env } })
  closeSync(out)
  process_.setMaxListeners(0)
  const gone = once(process_, 'exit')
  let stopping = false
  void gone.then(([code, signal]) => !stopping && onExit?.(code ?? signal))

  return {
    pid: process_.pid,
    process: process_,
    send: (message) => process_.connected && process_.send(message),

    /** The first message for which `pick` returns something. */
    message(pick, seconds = 30) {
      return new Promise((resolve, reject) => {
        const fail = (why) => reject(new Error(`${name} ${why}, see ${join(dir, `${name}.log`)}`))
        const timer = setTimeout(() => fail('did not start'), seconds * 1000)
        const listen = (message) => {
          const picked = pick(message)
          if (picked === undefined) return
          clearTimeout(timer)
          process_.off('message', listen)
          resolve(picked)
        }
        process_.on('message', listen)
        void gone.then(([code, signal]) => {
          clearTimeout(timer)
          fail(`ended (${code ?? signal})`)
        })
      })
    },

    async stop() {
      stopping = true
      process_.kill('SIGTERM')
      const hard = setTimeout(() => process_.kill('SIGKILL'), patienceMs)
      await gone
      clearTimeout(hard)
    },
  }
}

/** The keeper of the programs that are not Node. It may take its time: killed, it would leave them behind. */
export function startKeeper({ dir, file, removeDir, onExit }) {
  const keeper = child({ name: 'keeper', file, dir, patienceMs: 20_000 })
  const pids = {}
  keeper.process.on('message', ({ exited, code }) => exited && onExit(exited, code))
  if (removeDir) keeper.send({ removeDir })
  return {
    pid: keeper.pid,
    pids,
    async spawn(options) {
      keeper.send({ spawn: options })
      pids[options.name] = await keeper.message((message) => (message.spawned === options.name ? (message.pid ?? 0) : undefined))
    },
    stop: () => keeper.stop(),
  }
}
