import { describe, expect, test } from 'vitest'
import { clip, defuseSlack, escapeSlack, escapeWiki, plain } from '../../src/notify/plain-text.ts'
import { briefOf, summaryLine } from '../../src/notify/message.ts'
import { consoleText } from '../../src/notify/console.ts'
import { hostileIncident, hostileText, incident, noticeOf } from './example.ts'

describe('text from telemetry', () => {
  test.each([
    ['terminal escapes', '\u001b[31mred\u001b[0m', '[31mred [0m'],
    ['line ends', 'a\r\nb\u2028c', 'a b c'],
    ['turned reading direction', 'abc\u202efed', 'abc fed'],
    ['half a character', 'a\ud83db', 'a\ufffdb'],
    ['whole characters and accents', 'é \u{1f600} 漢', 'é \u{1f600} 漢'],
  ])('%s', (_, given, expected) => expect(plain(given)).toBe(expected))

  test.each([
    ['short enough', 'abc', 3, 'abc'],
    ['too long', 'abcd', 3, 'ab…'],
    ['not in the middle of a character', 'a\u{1f600}b', 3, 'a…'],
  ])('is clipped: %s', (_, given, max, expected) => expect(clip(given, max)).toBe(expected))

  test('is no markup', () => {
    expect(escapeSlack('<!channel> & <b>')).toBe('&lt;!channel&gt; &amp; &lt;b&gt;')
    expect(defuseSlack('<!channel> <@U1> a<b')).not.toMatch(/<[!@#]/)
    expect(escapeWiki('{code} [~admin] *b* h1.')).toBe('\\{code\\} \\[\\~admin\\] \\*b\\* h1.')
  })
})

describe('what is said about an incident', () => {
  test('the summary names the trouble, who feels it, and the cause', () => {
    expect(summaryLine(briefOf(noticeOf('opened'), ''))).toBe(
      'checkout: 38 % of requests fail (normally 0.2 %). Users of checkout feel it: 38 % of requests fail (normally 0.2 %). Probable cause: payments (71 %).',
    )
  })

  test('the console block reads on its own, strongest evidence first', () => {
    expect(consoleText(noticeOf('opened'), 'https://tocsin.example')).toBe(
      [
        'NEW INCIDENT  checkout: 38 % of requests fail (normally 0.2 %)  [error, open]',
        '  Users of checkout feel it: 38 % of requests fail (normally 0.2 %).',
        '  Why this notice: because it was opened',
        '  Probable cause: payments (71 %)',
        '    - deploy 2.4.1 one minute before',
        '    - left its baseline first, 20 s before checkout',
        '  or: checkout (20 %)',
        '  Services: checkout, frontend',
        '  https://tocsin.example/incidents/inc-7f3a',
        '',
        '',
      ].join('\n'),
    )
  })

  test('nothing an attacker logs reaches the terminal', () => {
    const text = consoleText({ ...noticeOf('opened'), incident: hostileIncident, reason: hostileText }, '')
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
    expect(text.length).toBeLessThan(20_000)
    expect(consoleText({ ...noticeOf('opened'), incident: { ...incident, id: 'a/../b?c' } }, 'http://x')).toContain(
      'http://x/incidents/a%2F..%2Fb%3Fc\n',
    )
  })
})
