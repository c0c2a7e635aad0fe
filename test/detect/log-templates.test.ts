import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LineShape, logKey } from '../../src/detect/log-key.ts'
import { LogTemplates, OTHER_TEMPLATE, templateHash } from '../../src/detect/log-templates.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'

const RULES = { maxLineChars: 1024, maxTemplates: 10_000 }

describe('the key of a line', () => {
  it.each([
    ['numbers', 'user 42 logged in', 'user <*> logged in'],
    ['a number takes its unit along', 'took 12.5 ms, read 3 MB/s', 'took <*>, read <*>'],
    ['and a second reading', 'used 1024 bytes (1.0 KB) of heap', 'used <*> of heap'],
    ['a unit alone is a word', 'the ms are gone', 'the ms are gone'],
    ['ids', 'order 3f2a9c17-aa10-4be0-9f01-d3c09e7f0a11 shipped', 'order <*> shipped'],
    ['known names with digits stay', 'speaks ipv6 over http2 with sha256', 'speaks ipv6 over http2 with sha256'],
    ['a stem with a number', 'link eth0 is down', 'link eth<*> is down'],
    ['paths', 'cannot open /var/lib/data/a.db: no such file', 'cannot open <*> no such file'],
    ['but not fractions of words', 'and/or not', 'and/or not'],
    ['URLs', 'GET https://shop.example/cart?id=7 failed', 'GET <*> failed'],
    ['addresses', 'connect to db.internal:5432 refused', 'connect to <*> refused'],
    ['mail', 'sent to ann@example.org today', 'sent to <*> today'],
    ['lists collapse', 'brokers 10.0.0.1:9092, 10.0.0.2:9092 are up', 'brokers <*> are up'],
    ['but not across an assignment', 'a=1 b=2', 'a=<*> b=<*>'],
    ['groups that repeat are kept once', 'disks sda1 ok, sdb2 ok, sdc3 ok', 'disks sda<*> ok, sdb<*> ok, sdc<*> ok'],
    ['groups that repeat exactly are kept once', 'shard s1=ok, s2=ok, shard x9=ok', 'shard <*>=ok, <*>=ok, shard <*>=ok'],
    ['repeated assignments', 'load cpu=1, cpu=2, cpu=3 end', 'load cpu=<*> end'],
    ['white space', '  a\t b   ', 'a b'],
    ['nothing', '', ''],
  ])('%s', (_what, line, key) => {
    expect(logKey(line)).toBe(key)
  })

  it('is the same for lines of the same shape, which is what the cache relies on', () => {
    const word = fc.constantFrom(
      'a',
      'ab',
      'A1',
      '10',
      '1.5',
      'ms',
      'MB',
      '%',
      'eth0',
      'ipv4',
      's3',
      'x.y',
      'h1.z',
      '-1-',
      '.5',
      '~9',
      'é',
      'GET',
    )
    const glue = fc.constantFrom(' ', '  ', '\t', '/', ':', '://', '@', '=', ', ', '(', ') ', '"', '.', '#', '[', '] ')
    const line = fc.array(fc.tuple(glue, word), { maxLength: 8 }).map((parts) => parts.flat().join(''))
    const keys = new Map<string, string>()
    fc.assert(
      fc.property(line, (text) => {
        const shape = new LineShape()
        shape.read(text, 0, text.length)
        const id = `${shape.a}/${shape.b}`
        const key = logKey(text)
        expect(keys.get(id) ?? key).toBe(key)
        keys.set(id, key)
      }),
      { numRuns: 6000, seed: 7 },
    )
    expect(keys.size).toBeGreaterThan(1000)
  })

  it('takes any text in linear time', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => void logKey(text)),
      { numRuns: 300 },
    )
    for (const unit of ['/', '1 ', '(', '1 (', 'a@', 'a.b:', '://', '"', '1,', 'x=1 ']) {
      const started = process.cpuUsage().user
      logKey(unit.repeat(20_000))
      expect(process.cpuUsage().user - started).toBeLessThan(1_000_000)
    }
  })
})

describe('templates', () => {
  it('are the same for lines that differ in numbers only', () => {
    const mine = new LogTemplates(RULES)
    expect(mine.idOf('paid 12 EUR for order 7')).toBe(mine.idOf('paid 900 EUR for order 12345'))
    expect(mine.size).toBe(1)
  })

  it('merge when one place takes many values', () => {
    const mine = new LogTemplates(RULES)
    const ids = ['ann', 'bob', 'cleo', 'dan', 'eve', 'fay'].map((name) => mine.idOf(`the session of ${name} was closed by the server`))
    const roots = new Set(ids.map((id) => mine.resolve(id)))
    expect(roots.size).toBe(1)
    expect(mine.textOf([...roots][0]!)).toBe('the session of <*> was closed by the server')
    expect(mine.resolve(mine.idOf('the session of zoe was closed by the server'))).toBe([...roots][0])
  })

  it('keep what all values have in common', () => {
    const mine = new LogTemplates(RULES)
    let id = 0
    for (const name of ['ann', 'bob', 'cleo', 'dan', 'eve', 'fay']) id = mine.idOf(`session closed by the server user=${name}, bye`)
    expect(mine.textOf(mine.resolve(id))).toBe('session closed by the server user=<*>, bye')
  })

  it('do not merge a handful of states, however often they come', () => {
    const mine = new LogTemplates(RULES)
    const ids = new Set<number>()
    for (let i = 0; i < 50; i++)
      for (const verb of ['GET', 'POST', 'PUT', 'DELETE']) ids.add(mine.resolve(mine.idOf(`${verb} request to the front page served`)))
    expect(ids.size).toBe(4)
    for (const state of ['up', 'down']) ids.add(mine.idOf(`the link to the database is ${state}`))
    expect(ids.size).toBe(6)
  })

  it('are known by the hash of their text, across miners', () => {
    const [one, two] = [new LogTemplates(RULES), new LogTemplates(RULES)]
    two.idOf('something else')
    const hash = templateHash(one.textOf(one.idOf('job 7 done')))
    expect(templateHash(two.textOf(two.idOf('job 8 done')))).toBe(hash)
  })

  it('take the first line of a trace of many lines, and only the beginning of a long one', () => {
    const mine = new LogTemplates({ ...RULES, maxLineChars: 64 })
    expect(mine.idOf('boom happened\n  at f (a.js:1)')).toBe(mine.idOf('boom happened\n  at g (b.js:2)\n  at h'))
    expect(mine.idOf(`${'word '.repeat(20)}a`)).toBe(mine.idOf(`${'word '.repeat(20)}b`))
  })

  it('stay bounded under a flood of new shapes, and what comes often survives it', () => {
    const mine = new LogTemplates({ ...RULES, maxTemplates: 500 })
    const regular = mine.idOf('the regular line of every day')
    for (let i = 0; i < 20_000; i++) {
      mine.idOf(`${letters(i)} ${letters(i * 7)} ${letters(i * 13)}`)
      if (i % 10 === 0) mine.idOf('the regular line of every day')
    }
    expect(mine.size).toBeLessThanOrEqual(500)
    expect(mine.evicted).toBeGreaterThan(10_000)
    expect(mine.resolve(regular)).toBe(regular)
    expect(mine.resolve(2)).toBe(OTHER_TEMPLATE)
  })

  it('go on after a restore as if nothing had happened', () => {
    const lines = fc
      .array(fc.constantFrom('a', 'b', 'up', 'x7', '9', 'the', 'node', 'left', '/p/q', 'k=v', 'é"'), { minLength: 1, maxLength: 7 })
      .map((words) => words.join(' '))
    fc.assert(
      fc.property(fc.array(lines, { minLength: 5, maxLength: 120 }), fc.nat(), (all, cut) => {
        const rules = { maxLineChars: 80, maxTemplates: 20 }
        const straight = new LogTemplates(rules)
        const at = cut % all.length
        for (const line of all.slice(0, at)) straight.idOf(line)
        const to = new SnapshotWriter(1)
        straight.snapshot(to)
        const restored = new LogTemplates(rules)
        restored.restore(new SnapshotReader(to.finish(), 'test', 1))
        for (const line of all.slice(at)) expect(restored.idOf(line)).toBe(straight.idOf(line))
        expect([restored.size, restored.evicted, restored.generation]).toEqual([straight.size, straight.evicted, straight.generation])
      }),
      { numRuns: 150, seed: 11 },
    )
  })

  it('treat names of object properties as words', () => {
    const mine = new LogTemplates(RULES)
    expect(mine.textOf(mine.idOf('__proto__ constructor toString'))).toBe('__proto__ constructor toString')
  })
})

function letters(n: number): string {
  let text = ''
  for (let rest = n + 1; rest > 0; rest = Math.floor(rest / 26)) text += String.fromCharCode(97 + (rest % 26))
  return text
}
