/** Before all: the programs are built where they are not in the cache yet. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export function setup(): void {
  const { status } = spawnSync('bash', [fileURLToPath(new URL('../../.ci/senders/build', import.meta.url))], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) throw new Error(`.ci/senders/build ended with ${status}`)
}
