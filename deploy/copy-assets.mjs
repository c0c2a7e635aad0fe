// Completes what tsc has put into dist: the files under src that the program reads at run time, at the same places; the seed of
// the embedded database; and last the mark that says that this build is whole.
import { spawnSync } from 'node:child_process'
import { cpSync, lstatSync, writeFileSync } from 'node:fs'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'

const assets = new Set(['.sql', '.css', '.html', '.svg', '.png', '.ico', '.woff2', '.json', '.js', '.mjs'])
const root = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url))

cpSync(root('src'), root('dist'), {
  recursive: true,
  filter: (from) => lstatSync(from).isDirectory() || assets.has(extname(from)),
})
spawnSync(process.execPath, [root('deploy/seed-database.mjs')], { stdio: 'inherit' })
writeFileSync(root('dist/.built'), '')
