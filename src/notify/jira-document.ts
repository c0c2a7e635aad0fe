/**
 * An incident as a Jira text: in Cloud as a document (https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/), where text is
 * text whatever is in it, in Data Center as wiki markup with everything from telemetry escaped.
 */
import type { Notice } from '../model.ts'
import { briefOf, causeLine, heading, summaryLine } from './message.ts'
import { escapeWiki } from './plain-text.ts'

export type Flavor = 'cloud' | 'datacenter'

/** Paragraphs; a list belongs to the paragraph before it. */
interface Part {
  readonly text: string
  readonly list?: readonly string[]
  readonly link?: string
}

/** Stands in a comment, so that it can be found again: nothing in it needs escaping. */
export function marker(notice: Notice): string {
  return `Tocsin notice ${notice.id.replace(/\W/g, '')}`
}

export function description(notice: Notice, publicUrl: string, flavor: Flavor): unknown {
  const brief = briefOf(notice, publicUrl)
  return render(
    [
      { text: brief.impact },
      ...brief.causes.map((cause, i) => ({ text: `${i === 0 ? 'Probable cause' : 'Or'}: ${causeLine(cause)}`, list: cause.evidence })),
      { text: brief.services.length === 0 ? '' : `Services: ${brief.services.join(', ')}` },
      { text: `Why this ticket: ${brief.reason}` },
      { text: 'Timeline and evidence', link: brief.url },
    ],
    flavor,
  )
}

export function comment(notice: Notice, publicUrl: string, flavor: Flavor): unknown {
  const brief = briefOf(notice, publicUrl)
  const parts: Part[] = [{ text: `${heading(notice.kind)}: ${brief.reason}` }]
  if (notice.kind !== 'resolved') parts.push({ text: summaryLine(brief), list: brief.causes[0]?.evidence ?? [] })
  return render([...parts, { text: 'Timeline and evidence', link: brief.url }, { text: marker(notice) }], flavor)
}

function render(parts: readonly Part[], flavor: Flavor): unknown {
  const said = parts.filter((part) => part.text !== '')
  if (flavor === 'datacenter') {
    return said
      .map(({ text, list = [], link }) =>
        link === undefined ? [escapeWiki(text), ...list.map((item) => `* ${escapeWiki(item)}`)].join('\n') : `[${text}|${link}]`,
      )
      .join('\n\n')
  }
  const paragraph = ({ text, link }: Part) => ({
    type: 'paragraph',
    content: [{ type: 'text', text, ...(link !== undefined && { marks: [{ type: 'link', attrs: { href: link } }] }) }],
  })
  // A text node must not be empty.
  const items = (list: readonly string[] = []) =>
    list.filter((text) => text !== '').map((text) => ({ type: 'listItem', content: [paragraph({ text })] }))
  return {
    type: 'doc',
    version: 1,
    content: said.flatMap((part) => {
      const content = items(part.list)
      return content.length === 0 ? [paragraph(part)] : [paragraph(part), { type: 'bulletList', content }]
    }),
  }
}
