/** Nothing that is put into a template becomes markup. */
import { assert, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { html } from '../../src/web/html.ts'
import type { Content } from '../../src/web/html.ts'

describe('html', () => {
  test.each<[string, Content, string]>([
    ['text', 'a < b & c > d', 'a &lt; b &amp; c &gt; d'],
    ['a script', '<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
    ['quotes that would end an attribute', `" onclick='x'`, '&quot; onclick=&#39;x&#39;'],
    ['text that has been escaped already', '&lt;', '&amp;lt;'],
    ['html itself', html`<b>${'<'}</b>`, '<b>&lt;</b>'],
    ['a list', ['<', html`<i></i>`, 3], '&lt;<i></i>3'],
    ['lists in lists', [['a'], [['<']]], 'a&lt;'],
    ['zero', 0, '0'],
    ['false', false, ''],
    ['undefined', undefined, ''],
    ['an object that only looks like html', { toString: () => '<b>', map: () => ['<b>'] } as unknown as Content, '&lt;b&gt;'],
  ])('%s', (_, content, expected) => {
    expect(html`<p>${content}</p>`.toString()).toBe(`<p>${expected}</p>`)
  })

  test('whatever the text, an attribute ends where the template ends it, and no tag begins', () => {
    assert(
      property(string({ unit: 'binary' }), (text) => {
        const markup = html`<a title="${text}">${text}</a>`.toString()
        expect(markup).toMatch(/^<a title="[^"<>]*">[^<>"]*<\/a>$/s)
      }),
    )
  })
})
