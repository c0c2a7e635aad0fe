/** docs/SENDERS.md, its table, and the tests that run its blocks name the same blocks: none is only words, none is run that is not shown. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DOCUMENT, snippets } from './support/snippets.ts'

const source = (folder: string, files: RegExp) =>
  readdirSync(new URL(folder, import.meta.url))
    .filter((name) => files.test(name))
    .map((name) => readFileSync(new URL(`${folder}${name}`, import.meta.url), 'utf8'))
    .join('\n')

/** What runs, by the last column of the table. Prometheus and Alertmanager are started in one place for all tests. */
const SOURCES: Readonly<Record<string, string>> = {
  '`npm test`': source('acceptance/', /^(senders|alertmanager).*\.ts$/) + source('support/', /^programs\.ts$/),
  '`npm run test:senders`': source('senders/', /\.senders\.ts$|^bench\.ts$/),
}

const rows = DOCUMENT.split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter((cells) => cells.length === 7 && cells[4]!.startsWith('`'))
  .map((cells) => ({ blocks: [...cells[4]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!), runBy: cells[5]! }))
const all = snippets().map(({ name }) => name)

describe('docs/SENDERS.md', () => {
  it('names each of its blocks once, and in the table', () => {
    expect(all.length).toBeGreaterThan(25)
    expect(new Set(all).size).toBe(all.length)
    expect(rows.flatMap(({ blocks }) => blocks).toSorted()).toEqual(all.toSorted())
  })

  it('every fenced block has a name', () => {
    expect([...DOCUMENT.matchAll(/^```\w.*$/gm)].map(([fence]) => fence)).toEqual(
      snippets().map(({ language, name }) => `\`\`\`${language} ${name}`),
    )
  })

  it('every block is run by the tests that the table names', () => {
    for (const { blocks, runBy } of rows) {
      const text = SOURCES[runBy]
      for (const name of blocks) {
        if (runBy === '–') for (const other of Object.values(SOURCES)) expect(other, name).not.toContain(`'${name}'`)
        else expect(text?.includes(`'${name}'`), `${name} by ${runBy}`).toBe(true)
      }
    }
  })

  it('every block that is run is in the document', () => {
    const run = Object.values(SOURCES).flatMap((text) => [...text.matchAll(/\bsnippet\(\s*'([\w-]+)'/g)].map((match) => match[1]!))
    expect(run.length).toBeGreaterThan(10)
    for (const name of run) expect(all, name).toContain(name)
  })

  it('every section that the table points to is there', () => {
    const anchors = [...DOCUMENT.matchAll(/^## (.*)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    )
    for (const [, anchor] of DOCUMENT.matchAll(/\]\(#([^)]*)\)/g)) expect(anchors).toContain(anchor)
  })
})
