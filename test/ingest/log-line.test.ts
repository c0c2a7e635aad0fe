import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LineReader, readLine } from '../../src/ingest/logs/log-line.ts'
import { parseLokiLabels } from '../../src/ingest/logs/loki-labels.ts'
import { nanosecondsToMs } from '../../src/ingest/logs/loki.ts'
import { severityInText, severityOfAlert, severityOfLevel } from '../../src/ingest/logs/severity.ts'
import { oracleLine } from './line-oracle.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'

describe('a log line', () => {
  it.each<[what: string, line: string, parts: [body: string, severity: number, traceId?: string]]>([
    ['pino', `{"level":50,"time":1795444651351,"pid":1,"msg":"order failed","trace_id":"${TRACE}"}`, ['order failed', 17, TRACE]],
    [
      'pino with an error',
      '{"level":50,"msg":"order failed","err":{"type":"Error","message":"connect ECONNREFUSED 10.0.0.1:5432","stack":"…"}}',
      ['order failed: connect ECONNREFUSED 10.0.0.1:5432', 17],
    ],
    [
      'an error that the message tells already',
      '{"level":"error","message":"failed: no route","error":"no route"}',
      ['failed: no route', 17],
    ],
    ['winston', '{"level":"warn","message":"slow"}', ['slow', 13]],
    ['zap, logrus', '{"lvl":"INFO","msg":"up"}', ['up', 9]],
    ['Python', '{"levelname":"CRITICAL","message":"down"}', ['down', 18]],
    [
      'Elastic common schema',
      '{"log.level":"error","message":"x","trace.id":"ABCDEF0123456789ABCDEF0123456789"}',
      ['x', 17, 'abcdef0123456789abcdef0123456789'],
    ],
    ['Elastic, nested', '{"log":{"level":"debug"},"message":"x"}', ['x', 5]],
    ['a container runtime around it', '{"log":"{\\"level\\":\\"error\\",\\"msg\\":\\"inner\\"}\\n","stream":"stderr"}', ['inner', 17]],
    ['a container runtime around text', '{"log":"plain text\\n","stream":"stdout"}', ['plain text', 0]],
    ['JSON without a message', '{"level":"info","status":500}', ['{"level":"info","status":500}', 9]],
    ['JSON whose level is nothing known', '{"level":{"a":1},"msg":"x"}', ['x', 0]],
    ['JSON with __proto__', '{"__proto__":{"msg":"no"},"msg":"yes"}', ['yes', 0]],
    ['braces that are no JSON', '{not json}', ['{not json}', 0]],
    ['JSON cut off', '{"level":"error","msg":"x', ['{"level":"error","msg":"x', 0]],
    [
      'logfmt',
      `ts=2026-11-23T14:29:33Z level=error caller=a.go:5 msg="could not pay" traceID=${TRACE} err="card declined"`,
      ['could not pay: card declined', 17, TRACE],
    ],
    ['logfmt with escapes', 'level=warn msg="said \\"no\\"\\tloudly"', ['said "no"\tloudly', 13]],
    ['logfmt without a message', 'level=debug a=b', ['level=debug a=b', 5]],
    ['a sentence with an equals sign', 'retry with level=5 please', ['retry with level=5 please', 0]],
    ['plain', 'GET /checkout 200 5ms', ['GET /checkout 200 5ms', 0]],
    ['trailing white space', 'plain \r\n', ['plain', 0]],
    ['a trace id that is none', '{"msg":"x","trace_id":"123"}', ['x', 0]],
    ['a trace id of zeros', `{"msg":"x","trace_id":"${'0'.repeat(32)}"}`, ['x', 0]],
    ['a short trace id', '{"msg":"x","traceId":"a1b2c3d4e5f60718"}', ['x', 0, 'a1b2c3d4e5f60718']],
    ['GELF: levels of syslog', '{"version":"1.1","host":"h","short_message":"disk full","level":2}', ['disk full', 18]],
    ['journald', '{"MESSAGE":"oom","PRIORITY":"3"}', ['oom', 17]],
    ['OpenTelemetry', '{"body":"paid","severity_number":18,"severity_text":"custom"}', ['paid', 18]],
    ['logfmt with tabs', 'level=warn\tmsg=slow', ['slow', 13]],
    ['a quote that nothing closes', 'level=error msg="cut o', ['level=error msg="cut o', 17]],
    ['a name in escapes', '{"\\u006dsg":"x","level":"error"}', ['x', 17]],
    ['white space beyond ASCII behind it', '{"msg":"x"}\u2003', ['x', 0]],
    ['characters beyond ASCII', '{"msg":"größer 🔔","level":"error"}', ['größer 🔔', 17]],
    ['nothing', '', ['', 0]],
  ])('%s', (_what, line, [body, severity, traceId = '']) => {
    expect(readLine(line)).toEqual({ body, severity, traceId })
  })
})

describe('a log line, read as bytes and as text, is what JSON.parse and regular expressions make of it', () => {
  const names = fc.constantFrom(
    ...'msg message MESSAGE short_message log event text body level severity lvl log.level PRIORITY severity_number'.split(' '),
    ...'trace_id traceID trace err error exception foo __proto__ ünï'.split(' '),
  )
  const values = fc.oneof(
    fc.constantFrom(
      'info',
      'ERROR',
      'warn',
      '30',
      '',
      TRACE,
      TRACE.toUpperCase(),
      '{"msg":"inner","level":"fatal"}',
      '{"lvl":"warn"} ',
      'a\nb',
      '\0',
    ),
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.string({ maxLength: 12 }),
  )
  const reader = new LineReader()

  function agree(line: string): void {
    const expected = oracleLine(Buffer.from(line).toString('utf8'))
    expect([line, readLine(line)]).toEqual([line, expected])
    // As it stands between others in a body, whose bytes belong to nobody's line.
    const bytes = Buffer.concat([Buffer.from('"=\\é'), Buffer.from(line), Buffer.from('=x"}')])
    reader.begin(bytes)
    reader.readBytes(5, bytes.length - 4)
    const { body, severity, traceId } = reader
    expect([line, { body, severity, traceId }]).toEqual([line, expected])
  }

  it('JSON', () => {
    const plain = fc.oneof(values, fc.integer({ min: -1, max: 70 }), fc.double(), fc.constantFrom(true, null, 3, 17, 50))
    const nested = fc.oneof(plain, fc.dictionary(fc.constantFrom('level', 'message', 'x'), plain), fc.array(plain, { maxLength: 2 }))
    fc.assert(
      fc.property(fc.dictionary(names, nested, { maxKeys: 7 }), fc.constantFrom('', ' ', '\r\n', '\u2028', '}', ' x'), (object, tail) => {
        agree(JSON.stringify(object) + tail)
      }),
      { numRuns: 4_000 },
    )
  })

  it('logfmt', () => {
    const bare = values.map((text) => text.replaceAll(/[\s"]/g, ''))
    const quoted = values.map((text) => JSON.stringify(text.replaceAll(/[^ -~]/g, '?')))
    const pair = fc.tuple(names, fc.oneof(bare, quoted)).map(([name, value]) => `${name}=${value}`)
    const word = fc.oneof(pair, pair, pair, values, fc.constantFrom('"', '=', 'a=', '=b', 'x="', '\\', 'retry'))
    const line = fc.array(fc.tuple(word, fc.constantFrom(' ', ' ', '  ', '\t', '')), { maxLength: 8 })
    fc.assert(
      fc.property(line, (words) => agree(words.flat().join(''))),
      { numRuns: 6_000 },
    )
  })
})

it('the level word in a text is what regular expressions find', () => {
  const upper = /\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|CRITICAL|CRIT|FATAL|PANIC|SEVERE|ALERT|EMERG)\b/
  const bracketed = /[[(<](trace|debug|info|notice|warn|warning|error|err|critical|crit|fatal|panic|alert|emerg)[\])>]/i
  const leading = /^\W*(trace|debug|info|notice|warn|warning|error|critical|fatal|panic)\b\s*[:|-]/i
  const klog = /^([IWEF])\d{4} \d\d:\d\d/
  const word = fc.constantFrom(
    ...'ERROR error Error err ERR WARN warn WARNING INFO info notice fatal FATAL Severe SEVERE trace xERROR ERROR1 ERROR_ é ſ'.split(' '),
    'I1123 14:29',
    'E1123 14:2',
  )
  const text = fc.array(
    fc.tuple(fc.oneof(word, fc.string({ maxLength: 3 })), fc.constantFrom(' ', ' ', '[', ']', '(', ')', ': ', '-', '|', '<', '>', '')),
    {
      maxLength: 10,
    },
  )
  fc.assert(
    fc.property(text, fc.constantFrom(0, 0, 0, 150, 157), (words, before) => {
      const line = ' '.repeat(before) + words.flat().join('')
      const head = line.slice(0, 160)
      const match = klog.exec(head) ?? upper.exec(head) ?? bracketed.exec(head) ?? leading.exec(head)
      expect([line, severityInText(line)]).toEqual([line, severityOfLevel(match?.[1])])
    }),
    { numRuns: 8_000 },
  )
})

describe('a level', () => {
  it.each<[level: unknown, severity: number]>([
    ['TRACE', 1],
    ['debug', 5],
    ['Info', 9],
    ['notice', 10],
    ['WARNING', 13],
    ['err', 17],
    ['ERROR', 17],
    ['crit', 18],
    ['fatal', 21],
    ['panic', 21],
    ['w', 13],
    ['INFO2', 10],
    ['ERROR4', 20],
    ['FATAL4', 24],
    [10, 1],
    [20, 5],
    [30, 9],
    [40, 13],
    [50, 17],
    [60, 21],
    [35, 9],
    ['30', 9],
    [0, 0],
    [5, 0],
    [1000, 0],
    [NaN, 0],
    ['', 0],
    ['loud', 0],
    [null, 0],
    [{}, 0],
    ['x'.repeat(1000), 0],
  ])('%j → %i', (level, severity) => {
    expect(severityOfLevel(level)).toBe(severity)
  })

  it.each([
    ['2026-11-23 14:29:33 ERROR could not pay', 17],
    ['2026-11-23 14:29:33,123 [main] WARN  a.b.C - slow', 13],
    ['[error] 5#5: connect() failed', 17],
    ['error: no such table', 17],
    ['E1123 14:29:33.000000       1 a.go:5] failed', 17],
    ['I1123 14:29:33.000000       1 a.go:5] fine', 9],
    ['INFO no ERROR found', 9],
    ['no error found', 0],
    ['TERROR in the streets', 0],
    [`${'x'.repeat(500)} ERROR`, 0],
    ['', 0],
  ])('in %j: %i', (line, severity) => {
    expect(severityInText(line)).toBe(severity)
  })

  it.each([
    ['critical', 'critical'],
    ['page', 'critical'],
    ['P1', 'critical'],
    ['error', 'error'],
    ['high', 'error'],
    ['warning', 'warning'],
    ['info', 'info'],
    ['none', 'info'],
    ['', 'warning'],
    ['whatever', 'warning'],
    [undefined, 'warning'],
  ])('of an alert, %j: %s', (label, severity) => {
    expect(severityOfAlert(label)).toBe(severity)
  })
})

describe('the labels of a stream', () => {
  it.each<[text: string, labels: [string, string][]]>([
    ['{}', []],
    ['{app="shop"}', [['app', 'shop']]],
    [
      ' { app = "shop" , env="a b" , } ',
      [
        ['app', 'shop'],
        ['env', 'a b'],
      ],
    ],
    [
      '{a="q\\"q\\\\ \\n\\t", b="x}y,z"}',
      [
        ['a', 'q"q\\ \n\t'],
        ['b', 'x}y,z'],
      ],
    ],
    ['{a="\\x41\\u00e9\\U0001f514\\101"}', [['a', 'Aé\u{1f514}A']]],
    ['{a="\\xc3\\xa9"}', [['a', 'é']]],
    ['{a=`raw \\n "text"`}', [['a', 'raw \\n "text"']]],
    ['{__proto__="x"}', [['__proto__', 'x']]],
  ])('%s', (text, labels) => {
    expect(parseLokiLabels(text, 10)).toEqual(labels)
  })

  it.each([
    '',
    'app="x"',
    '{app}',
    '{app=x}',
    '{app="x',
    '{app="x"',
    '{="x"}',
    '{a="x" b="y"}',
    '{a="x"}}',
    '{a="\\z"}',
    '{a="\\x4"}',
    '{,}',
  ])('%j is refused', (text) => {
    expect(() => parseLokiLabels(text, 10)).toThrow(/labels of a stream cannot be read|escape/)
  })
})

it.each([
  ['1795444606682076001', 1795444606682.076],
  ['1', 0.000001],
  ['1000000', 1],
  ['0', 0],
])('%s nanoseconds are %d ms', (text, ms) => {
  expect(nanosecondsToMs(text)).toBe(ms)
})
