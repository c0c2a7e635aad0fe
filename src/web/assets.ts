/**
 * The few files that pages need: their style, their compiled scripts, the chart library. Read once, compressed once, kept in memory, and
 * addressed by a hash of all of them, so that browsers may keep them for good and never mix two versions.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import { gzipSync } from 'node:zlib'

export interface Asset {
  readonly type: string
  readonly body: Buffer
  readonly gzipped: Buffer
  readonly etag: string
}

export interface Assets {
  /** Part of every asset's address. */
  readonly version: string
  /** False where the scripts have not been compiled: pages work, without charts and live updates. */
  readonly scripted: boolean
  get(name: string): Asset | undefined
}

const types: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
}

const here = new URL('./client/', import.meta.url)
const fromSources = import.meta.url.endsWith('.ts')
/** From the sources (tests, tsx) the scripts come from the last build. */
export const builtScripts = fromSources ? new URL('../../dist/web/client/', import.meta.url) : here

export async function loadAssets(scripts: URL = builtScripts): Promise<Assets> {
  const require = createRequire(import.meta.url)
  const files = [
    ...(await filesIn(here, /\.(css|svg)$/)),
    ...(await filesIn(scripts, /\.js$/)),
    require.resolve('uplot/dist/uPlot.esm.js'),
    require.resolve('uplot/dist/uPlot.min.css'),
  ]
  const assets = new Map<string, Asset>()
  const all = createHash('sha256')
  for (const file of files) {
    const name = basename(file instanceof URL ? file.pathname : file)
    const body = await readFile(file)
    const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 20)}"`
    all.update(`${name} ${etag} `)
    assets.set(name, {
      type: types[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
      body,
      gzipped: gzipSync(body),
      etag,
    })
  }
  return { version: all.digest('hex').slice(0, 12), scripted: assets.has('page.js'), get: (name) => assets.get(name) }
}

async function filesIn(folder: URL, wanted: RegExp): Promise<URL[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names
    .filter((name) => wanted.test(name))
    .sort()
    .map((name) => new URL(name, folder))
}
