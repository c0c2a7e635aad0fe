/**
 * The example shop for tests: its own packages are installed when they are missing, so that a test needs nothing done by hand.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Shop, ShopOptions } from '../../examples/shop/shop.js'

const FOLDER = fileURLToPath(new URL('../../examples/shop', import.meta.url))

export type { Shop }

/** Installs its packages where they are missing. */
export async function installShop(): Promise<void> {
  if (existsSync(`${FOLDER}/node_modules/.package-lock.json`)) return
  await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: FOLDER })
}

/** With quick settings: scrapes every second, ten customers a second. */
export async function startLiveShop(options: ShopOptions): Promise<Shop> {
  await installShop()
  const { startShop } = await import('../../examples/shop/shop.js')
  return startShop({ rps: 10, scrape: '1s', alertFor: '5s', otlpDelayMs: 500, lokiIntervalMs: 500, ...options })
}
