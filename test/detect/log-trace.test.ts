import { describe, expect, it } from 'vitest'
import { LogTemplates } from '../../src/detect/logs/log-templates.ts'
import { FRAME, INDENTED, traceKind } from '../../src/detect/logs/log-trace.ts'

describe('a text that holds a whole trace', () => {
  it.each([
    [
      'Java',
      'Request 17 failed\njava.lang.IllegalStateException: no\n\tat a.b.C.d(C.java:1)\nCaused by: x',
      'Request <*> failed java.lang.IllegalStateException',
    ],
    [
      'Java, named in the first line',
      'java.io.IOException: reset by 10.0.0.1\n\tat a.b.C.d(C.java:1)',
      'java.io.IOException: reset by <*>',
    ],
    [
      'Java, only a cause',
      'Request 17 failed\n\tat a.B.c(B.java:1)\nCaused by: a.b.TimeoutException: 5 s',
      'Request <*> failed a.b.TimeoutException',
    ],
    [
      'Python',
      'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    boom()\nValueError: bad 5',
      'Traceback (most recent call last): ValueError',
    ],
    ['Node', 'TypeError: x is not a function\n    at f (/app/a.js:1:2)', 'TypeError: x is not a function'],
    [
      '.NET',
      'Job 4 crashed\nUnhandled exception. System.InvalidOperationException: msg\n   at X.Y()',
      'Job <*> crashed System.InvalidOperationException',
    ],
    ['Go', 'panic: index out of range [5]\n\ngoroutine 1 [running]:\nmain.main()', 'panic: index out of range [<*>]'],
    ['Ruby', "app.rb:10:in `foo': bad (RuntimeError)\n\tfrom x.rb:2", "<*>:in `foo': bad (RuntimeError)"],
    ['no trace', 'two lines\nerror: 5', 'two lines'],
  ])('%s', (_what, text, template) => {
    const mine = new LogTemplates({ maxLineChars: 1024, maxTemplates: 100 })
    const id = mine.idOf(text)
    expect(mine.textOf(id)).toBe(template)
    expect(mine.idOf(text.replaceAll('1', '2'))).toBe(id)
  })

  it('is searched no further than its beginning', () => {
    const mine = new LogTemplates({ maxLineChars: 1024, maxTemplates: 100 })
    expect(mine.textOf(mine.idOf(`failed\n${'x\n'.repeat(500_000)}a.IOException: y`))).toBe('failed')
    expect(mine.textOf(mine.idOf(`failed\n${'x'.repeat(1_000_000)}Exception`))).toBe('failed')
  })
})

describe('a line that comes after another one', () => {
  it.each([
    ['\tat a.b.C.d(C.java:1)', FRAME],
    ['   at X.Y() in a.cs:line 4', FRAME],
    ['    at async /app/a.js:1:2', FRAME],
    ['    at <anonymous>', FRAME],
    ['Caused by: java.io.IOException: y', FRAME],
    ['\t... 12 more', FRAME],
    ['  ... 12 common frames omitted', FRAME],
    ['Traceback (most recent call last):', FRAME],
    ['  File "a.py", line 3, in f', FRAME],
    ['goroutine 1 [running]:', FRAME],
    ['main.main()', FRAME],
    ['net/http.(*conn).serve(0xc000, 0x1)', FRAME],
    ['created by net/http.(*Server).Serve', FRAME],
    ['--- End of stack trace from previous location ---', FRAME],
    ['    boom()', INDENTED],
    ['    "level": "error",', INDENTED],
    ['    at noon all was well', INDENTED],
    ['\tat noon all was well', INDENTED],
    ['ValueError: bad', 0],
    [' one space', 0],
    ['at noon all was well', 0],
    ['created by the user', 0],
    ['goroutine pool grew', 0],
    ['cache.clear()', 0],
    ['done (5 of 7)', 0],
    ['', 0],
    [' '.repeat(100), INDENTED],
  ])('%s', (line, kind) => {
    expect(traceKind(line)).toBe(kind)
  })
})
