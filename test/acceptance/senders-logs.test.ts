/** Programs that push log lines as if to Loki: libraries of Node.js programs, and syslog-ng. */
import { appendFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, describe } from 'vitest'
import { linesOf } from '../ingest/doors-fixture.ts'
import { until } from '../support/kafka.ts'
import { startListener, type Understood } from '../support/listener.ts'
import { programFolder, shell, startProgram } from '../support/programs.ts'
import { requireOrSkip, which } from '../support/services.ts'
import { installShop } from '../support/shop.ts'
import { snippet } from '../support/snippets.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const modules = (of: string) => fileURLToPath(new URL(`../../${of}node_modules`, import.meta.url))

/** Runs a program that logs through the block of that name, to its end. */
async function logged(block: string, packages: string, program: string): Promise<Understood> {
  await using folder = await programFolder(block)
  await using listener = await startListener(folder.path)
  symlinkSync(modules(packages), join(folder.path, 'node_modules'))
  writeFileSync(join(folder.path, 'logger.mjs'), snippet(block, { '127.0.0.1:4318': listener.host }))
  writeFileSync(join(folder.path, 'app.mjs'), `import { logger } from './logger.mjs'\n${program}`)
  await shell('node app.mjs', folder.path)
  return await listener.understood()
}

const rows = (understood: Understood) =>
  understood.logs
    .flatMap(linesOf)
    .map(({ service, severity, body, traceId }) => [service, severity, body, traceId])
    .toSorted((a, b) => String(a[2]).localeCompare(String(b[2])))

describe('pino-loki', () => {
  it('lines lose their envelope; level, trace and time are the ones that were logged', async () => {
    await installShop()
    const startMs = Date.now()
    const heard = await logged(
      'pino-loki',
      'examples/shop/',
      `logger.warn({ trace_id: '${TRACE}', order: 7 }, 'a slow "order"'); logger.info('zwölf\\n24'); logger.fatal(new Error('gone'), 'no more')`,
    )
    expect([heard.rejected, heard.refused, heard.requests]).toEqual(['', [], ['/loki/api/v1/push application/json']])
    expect(rows(heard)).toEqual([
      ['checkout', 13, 'a slow "order"', TRACE],
      ['checkout', 21, 'no more: gone', ''],
      ['checkout', 9, 'zwölf\n24', ''],
    ])
    for (const { timeMs } of heard.logs.flatMap(linesOf)) {
      expect(timeMs).toBeGreaterThanOrEqual(startMs)
      expect(timeMs).toBeLessThanOrEqual(Date.now())
    }
  })
})

describe.each([
  ['winston-loki', 'application/x-protobuf', ''],
  ['winston-loki-json', 'application/json', TRACE],
])('%s', (block, type, trace) => {
  it('sends lines with their level, and in JSON the trace as structured metadata', async () => {
    const heard = await logged(
      block,
      '',
      `logger.error('no "stock" of größe 4', { trace_id: '${TRACE}' }); logger.info('plain'); setTimeout(() => logger.transports[0].flush().then(() => process.exit()), 200)`,
    )
    expect([heard.rejected, heard.refused, heard.requests[0]]).toEqual(['', [], `/loki/api/v1/push ${type}`])
    expect(rows(heard).map(([service, severity, body, traceId]) => [service, severity, String(body).split(' {')[0], traceId])).toEqual([
      ['checkout', 17, 'no "stock" of größe 4', trace],
      ['checkout', 9, 'plain', ''],
    ])
  })
})

requireOrSkip('syslog-ng')('syslog-ng', () => {
  it('any line comes through: quotes, backslashes, control characters; program, level and time are known', async () => {
    await using folder = await programFolder('syslog-ng')
    await using listener = await startListener(folder.path)
    const input = join(folder.path, 'input.log')
    const config = join(folder.path, 'syslog-ng.conf')
    writeFileSync(input, '')
    writeFileSync(
      config,
      [
        '@version: 3.35',
        'options { keep-hostname(yes); };',
        snippet('syslog-ng', { '127.0.0.1:4318': listener.host }),
        `source s_file { file("${input}" flags(syslog-protocol) follow-freq(0.2)); };`,
        'log { source(s_file); destination(d_tocsin); };',
      ].join('\n'),
    )
    const files = ['persist-file', 'pidfile', 'control'].map((name) => `--${name}=${join(folder.path, `ng.${name}`)}`)
    const syslog = await startProgram({
      folder: folder.path,
      name: 'syslog-ng',
      command: which('syslog-ng')!,
      args: ['--foreground', '--no-caps', `--cfgfile=${config}`, ...files],
    })
    const atMs = Date.now() - 60_000
    const time = new Date(atMs).toISOString()
    const messages = ['plain line', 'with "quote", it\'s \\ and\ttab', 'third é ${MESSAGE} {}', `{"msg":"from JSON","trace_id":"${TRACE}"}`]
    try {
      // <11>: user, err; <14>: user, info.
      appendFileSync(input, messages.map((message, i) => `<${i === 0 ? 11 : 14}>1 ${time} web-1 checkout 77 - - ${message}\n`).join(''))
      await until('all lines have come', async () => (await listener.rows())['loki'] === messages.length)
    } finally {
      await syslog[Symbol.asyncDispose]()
    }
    const heard = await listener.understood()
    expect([heard.rejected, heard.refused]).toEqual(['', []])
    expect(rows(heard)).toEqual([
      ['checkout', 9, 'from JSON', TRACE],
      ['checkout', 17, 'plain line', ''],
      ['checkout', 9, messages[2], ''],
      ['checkout', 9, messages[1], ''],
    ])
    expect(new Set(heard.logs.flatMap(linesOf).map(({ timeMs }) => timeMs))).toEqual(new Set([atMs]))
    expect(heard.logs[0]!.sources[0]).toMatchObject({ service: 'checkout', instance: 'web-1' })
  })
})
