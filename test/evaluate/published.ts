/** What others published, read from test/fixtures/detection; its README says where it comes from. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

export function readTable(name: string): string[][] {
  const bytes = readFileSync(new URL(`../fixtures/detection/${name}`, import.meta.url))
  const [, ...rows] = gunzipSync(bytes).toString('utf8').trim().split('\n')
  return rows.map((row) => row.split(','))
}
