import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { logKey } from '../../src/detect/logs/log-key.ts'
import { LineShape } from '../../src/detect/logs/log-scan.ts'
import { LogTemplates, OTHER_TEMPLATE, templateHash } from '../../src/detect/logs/log-templates.ts'
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
    ['a list does not swallow the next key', 'shard s1=ok, s2=ok, shard x9=ok', 'shard <*>=<*>, <*>=<*>, shard <*>=<*>'],
    ['repeated assignments', 'load cpu=1, cpu=2, cpu=3 end', 'load cpu=<*> end'],
    ['dates', 'seen at Sun Jul 24 02:38:23 2005, and 6 Nov 1994 08:49 GMT', 'seen at <*>, and <*>'],
    ['but not names of months and days alone', 'the Sun may set in March', 'the Sun may set in March'],
    ['values after =', 'user=ann state = idle ruser= tty=ssh', 'user=<*> state =<*> ruser= tty=<*>'],
    ['values in brackets after =', 'bounds=Rect(0, 0 - 3, 4), token=Token{a B{c}} end', 'bounds=<*>, token=<*> end'],
    ['comparisons are none', 'if a == b then x => y', 'if a == b then x => y'],
    ['quoted text', 'table "orders" of tag="View Lock" is gone', 'table "<*>" of tag=<*> is gone'],
    ['but not what is asked for', '"GET /a HTTP/1.1" gave 200, method=GET', '"GET <*> HTTP/<*>" gave <*>, method=GET'],
    ['nor keys of JSON', '{"level":"info","n":3}', '{"level":"<*>","n":<*>}'],
    ['nor apostrophes', "can't tell what's up", "can't tell what's up"],
    ['names of hosts and classes', 'from ns.lab.example in org.acme.shop.CartService', 'from <*> in <*>'],
    [
      'but not properties and constants',
      'java.vendor.url action.app.SCREEN_ON a.b.IOException',
      'java.vendor.url action.app.SCREEN_ON a.b.IOException',
    ],
    ['hexadecimal without a sign of it', 'queued as abcdef0123 and cafe01', 'queued as <*> and cafe<*>'],
    ['yes or no after a colon', 'ready: true, that is true', 'ready: <*>, that is true'],
    ['unbalanced quotes and brackets', 'a="b c=(d "e', 'a="b c=(d "e'],
    ['only digits', '12345', '<*>'],
    ['only punctuation', '!!! --- ???', '!!! --- ???'],
    ['emoji', 'shipped 🚚 to 5 🏠', 'shipped 🚚 to <*> 🏠'],
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
      'a.b.com',
      'a.b.c',
      'true',
      'Jul',
      'deadbeef01',
      'GET',
      'x.y',
      'h1.z',
      '-1-',
      '.5',
      '~9',
      'é',
      'GET',
    )
    const glue = fc.constantFrom(
      "'",
      '=',
      '{',
      '}',
      '= ',
      '\n',
      ' ',
      '  ',
      '\t',
      '/',
      ':',
      '://',
      '@',
      '=',
      ', ',
      '(',
      ') ',
      '"',
      '.',
      '#',
      '[',
      '] ',
    )
    const line = fc.array(fc.tuple(glue, word), { maxLength: 8 }).map((parts) => parts.flat().join(''))
    const keys = new Map<string, string>()
    fc.assert(
      fc.property(line, (text) => {
        const shape = new LineShape()
        shape.read(text, 0, text.length)
        const id = `${shape.a}/${shape.b}`
        const key = logKey(text, 0, shape.end)
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
    for (const unit of ['/', '1 ', '(', '1 (', 'a@', 'a.b:', '://', '"', '1,', 'x=1 ', '=', 'a=(', '"a', "'", 'a="', 'Jul ', 'a.']) {
      // One that went back again and again would not end within the time a test has.
      expect(logKey(unit.repeat(100_000)).length).toBeGreaterThan(0)
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

  it.each([
    ['users', 'Accepted key for NAME from 10.0.0.1 port 22', ['ann', 'bob', 'cleo', 'dan', 'eve'], 1],
    ['the second user is one', 'session opened for user NAME by (uid=0)', ['mail', 'news'], 1],
    ['but unknown is not', 'check pass for the user NAME', ['mail', 'unknown'], 2],
    ['opened and closed', 'session NAME for somebody by cron', ['opened', 'closed', 'reused', 'refused', 'expired', 'moved'], 6],
    [
      'methods in quotes',
      '10.0.0.1 answered "NAME /cart HTTP/1.1" with 200',
      ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS'],
      7,
    ],
    ['levels', 'the log level of the router is NAME now', ['debug', 'info', 'warn', 'error', 'fatal'], 5],
    ['identifiers', 'the container NAME was restarted by the kubelet', ['cartDb', 'stockDb', 'user_db', 'mail-db'], 1],
    ['one that was a number before', 'moved to the shard NAME of the ring', ['17', 'spare'], 1],
    ['nothing at all is something else', 'connection from NAME at the front door', ['()', '(a.example.com)'], 2],
  ])('merge or stay apart: %s', (_what, line, values, kinds) => {
    const mine = new LogTemplates(RULES)
    const ids: number[] = []
    for (let round = 0; round < 3; round++) for (const value of values) ids.push(mine.idOf(line.replace('NAME', value)))
    expect(new Set(ids.map((id) => mine.resolve(id))).size).toBe(kinds)
  })

  it('merge in two places at once', () => {
    const mine = new LogTemplates(RULES)
    const ids: number[] = []
    const words = ['amber', 'basin', 'cedar', 'delta', 'ember', 'fjord', 'glade']
    for (let i = 0; i < 7; i++) ids.push(mine.idOf(`feature flag ${words[i]} enabled for tenant ${words[(i * 3 + 1) % 7]}`))
    expect(new Set(ids.map((id) => mine.resolve(id))).size).toBe(1)
    expect(mine.textOf(mine.resolve(ids[0]!))).toBe('feature flag <*> enabled for tenant <*>')
  })

  it('take in what came before the merge when it is next asked for', () => {
    const mine = new LogTemplates(RULES)
    const early = mine.idOf('feature flag willow enabled for tenant zephyr')
    const words = ['amber', 'basin', 'cedar', 'delta', 'ember', 'fjord', 'glade']
    for (let i = 0; i < 7; i++) mine.idOf(`feature flag ${words[i]} enabled for tenant amber`)
    for (let i = 0; i < 7; i++) mine.idOf(`feature flag amber enabled for tenant ${words[i]}`)
    for (let i = 0; i < 7; i++) mine.idOf(`feature flag ${words[i]} enabled for tenant ${words[(i * 3 + 1) % 7]}`)
    expect(mine.textOf(mine.resolve(early))).toBe('feature flag <*> enabled for tenant <*>')
  })

  it('have the same ids in every instance, whatever came before and in which order', () => {
    const names = ['ann', 'bob', 'cleo', 'dan', 'eve', 'fay', 'gus']
    const lines = [
      'disk 7 is full',
      'link eth0 is down',
      ...names.map((name) => `the session of ${name} was closed by the server`),
      'GET /a took 5 ms',
    ]
    const [one, two] = [new LogTemplates(RULES), new LogTemplates(RULES)]
    two.idOf('something else came first')
    const first = lines.map((line) => one.idOf(line)).map((id) => one.resolve(id))
    const second = lines
      .toReversed()
      .map((line) => two.idOf(line))
      .map((id) => two.resolve(id))
    expect(second.toReversed()).toEqual(first)
    for (const id of first) expect(Number.isSafeInteger(id) && id > 0).toBe(true)
  })

  it('stay bounded under a flood of new shapes, and what comes often survives it', () => {
    const mine = new LogTemplates({ ...RULES, maxTemplates: 500 })
    const regular = mine.idOf('the regular line of every day')
    for (let i = 0; i < 5; i++) mine.idOf('the regular line of every day')
    for (const name of ['ann', 'bob', 'cleo', 'dan', 'eve']) mine.idOf(`the session of ${name} was closed by the server`)
    for (let i = 0; i < 20_000; i++) {
      mine.idOf(`${letters(i)} ${letters(i * 7)} ${letters(i * 13)}`)
      if (i % 1000 === 0) mine.idOf('the regular line of every day')
      if (i % 1000 === 500) mine.idOf('the session of ann was closed by the server')
    }
    expect(mine.size).toBeLessThanOrEqual(500)
    expect(mine.evicted).toBeGreaterThan(10_000)
    expect(mine.resolve(regular)).toBe(regular)
    expect(mine.textOf(mine.idOf('the session of zoe was closed by the server'))).toBe('the session of <*> was closed by the server')
    const rare = mine.idOf('came only once')
    for (let i = 20_000; i < 21_000; i++) mine.idOf(`${letters(i)} ${letters(i * 7)} ${letters(i * 13)}`)
    expect(mine.resolve(rare)).toBe(OTHER_TEMPLATE)
    expect(mine.idOf('came only once')).toBe(rare)
  })

  it('read snapshots of the version before, whose ids counted up from one', () => {
    const to = new SnapshotWriter(1)
    for (const value of [3, 12, 0, 1]) to.f64(value)
    to.u32(2)
    for (const [id, text, merged, root] of [
      [1, 'the session of ann was closed', [], 2],
      [2, 'the session of <*> was closed', [3], 2],
    ] as const) {
      to.f64(id)
      to.string(text)
      to.column(Uint8Array.from(merged))
      for (const value of [6, 12, root]) to.f64(value)
    }
    const mine = new LogTemplates(RULES)
    mine.restore(new SnapshotReader(to.finish(), 'test', 2))
    expect(mine.resolve(1)).toBe(2)
    expect(mine.idOf('the session of zoe was closed')).toBe(2)
    expect(mine.idOf('something new')).toBeGreaterThan(2 ** 32)
  })

  it('take any text', () => {
    const mine = new LogTemplates(RULES)
    const nested = '{"a":'.repeat(200_000)
    for (const text of [
      'x'.repeat(1_000_000),
      nested,
      `${'['.repeat(500_000)}=`,
      '\u0000\u0001\u007f',
      '🚚'.repeat(999),
      '\ud800',
      '"',
      '='.repeat(99),
      '\n\n\n',
      '__proto__=1',
    ])
      expect(mine.idOf(text)).toBe(mine.idOf(text))
    expect(mine.size).toBeLessThanOrEqual(10)
  })

  it('go on after a restore as if nothing had happened', () => {
    const lines = fc
      .array(
        fc.constantFrom(
          'ann',
          'bob',
          'cleo',
          'dan',
          'eve',
          'fay',
          'user',
          'of',
          'closed',
          'a',
          'b',
          'up',
          'x7',
          '9',
          'the',
          'node',
          'left',
          '/p/q',
          'k=v',
          'é"',
        ),
        { minLength: 1, maxLength: 6 },
      )
      .map((words) => words.join(' '))
    fc.assert(
      fc.property(fc.array(lines, { minLength: 5, maxLength: 120 }), fc.nat(), (all, cut) => {
        const rules = { maxLineChars: 80, maxTemplates: 20 }
        const straight = new LogTemplates(rules)
        const at = cut % all.length
        for (const line of all.slice(0, at)) straight.idOf(line)
        const to = new SnapshotWriter(2)
        straight.snapshot(to)
        const restored = new LogTemplates(rules)
        restored.restore(new SnapshotReader(to.finish(), 'test', 2))
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
