/** docs/LIMITS.md says of every limit in the configuration what it is, with the default that it has. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { configSchema } from '../src/config.ts'

const page = readFileSync(new URL('../docs/LIMITS.md', import.meta.url), 'utf8')
const rows = new Map(
  [...page.matchAll(/^\| `([a-z][\w.]+)` \| (\d+) \|/gm)].map(([, key, value]): [string, number] => [key!, Number(value)]),
)

/** What bounds something: everything under `limits`, and what is called `max…` where data come in. */
function limitsIn(value: unknown, path: string): [key: string, value: number][] {
  if (typeof value === 'number') return isLimit(path) ? [[path, value]] : []
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return Object.entries(value).flatMap(([name, item]) => limitsIn(item, path === '' ? name : `${path}.${name}`))
}

function isLimit(path: string): boolean {
  if (/\.limits\.\w+$/.test(path)) return true
  // How long something lasts bounds no data.
  return /^(?:ingest|detect|kafka)\..*\bmax[A-Z]\w*$/.test(path) && !path.endsWith('Ms')
}

describe('the page of limits', () => {
  const limits = limitsIn(configSchema.parse({}), '')

  it.each(limits)('has a row for %s, default %d', (key, value) => {
    expect(rows.get(key)).toBe(value)
  })

  it('has no row for what is no limit', () => {
    expect([...rows.keys()].filter((key) => !limits.some(([name]) => name === key))).toEqual([])
    expect(limits.length).toBeGreaterThan(40)
  })
})
