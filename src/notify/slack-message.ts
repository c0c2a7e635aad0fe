/**
 * How an incident looks in Slack. Text from telemetry only ever stands in `plain_text`, where nothing is parsed; what is `mrkdwn` is ours.
 * Within the limits of https://docs.slack.dev/reference/block-kit/blocks, and below 12,000 characters in all, since
 * more than some 13,000 over all blocks is refused as well (https://github.com/slackapi/bolt-js/issues/2509).
 */
import type { KnownBlock, PlainTextElement } from '@slack/web-api'
import type { Notice } from '../model.ts'
import { briefOf, causeLine, heading, summaryLine } from './message.ts'
import type { Brief } from './message.ts'
import { clip, defuseSlack, escapeSlack } from './plain-text.ts'

export interface SlackMessage {
  readonly text: string
  readonly blocks: KnownBlock[]
}

const longest = { header: 150, section: 1500, text: 3000 }

/** The one message that stands for the incident, as the incident is now. */
export function parentMessage(notice: Notice, publicUrl: string): SlackMessage {
  const brief = briefOf(notice, publicUrl)
  const blocks: KnownBlock[] = [{ type: 'header', text: plainText(`${badge(brief)} ${brief.title}`, longest.header) }]
  if (brief.impact !== '') blocks.push({ type: 'section', text: plainText(brief.impact, longest.section) })
  for (const [i, cause] of brief.causes.entries()) {
    const lines = [`${i === 0 ? 'Probable cause' : 'Or'}: ${causeLine(cause)}`, ...cause.evidence.map((text) => `• ${text}`)]
    blocks.push({ type: 'section', text: plainText(lines.join('\n'), longest.section) })
  }
  if (brief.services.length > 0)
    blocks.push({ type: 'context', elements: [plainText(`Services: ${brief.services.join(', ')}`, longest.section)] })
  blocks.push({ type: 'context', elements: [{ type: 'mrkdwn', text: `<${brief.url}|Timeline and evidence> · ${stateOf(brief)}` }] })
  return { text: clip(escapeSlack(`${badge(brief)} ${summaryLine(brief)}`), longest.text), blocks }
}

/** What is new, for the thread. */
export function replyMessage(notice: Notice, publicUrl: string): SlackMessage {
  const brief = briefOf(notice, publicUrl)
  const [cause] = brief.causes
  const said = [`${heading(notice.kind)}: ${brief.reason}`]
  if (notice.kind !== 'resolved' && cause) said.push(`Probable cause: ${causeLine(cause)}`, ...cause.evidence.map((text) => `• ${text}`))
  const text = said.join('\n')
  return { text: clip(escapeSlack(text), longest.text), blocks: [{ type: 'section', text: plainText(text, longest.section) }] }
}

function badge(brief: Brief): string {
  return brief.status === 'resolved' ? '✅ Resolved:' : { critical: '🔴', error: '🟠', warning: '🟡', info: '🔵' }[brief.severity]
}

function stateOf(brief: Brief): string {
  if (brief.status === 'resolved') return `resolved${brief.lasted === '' ? '' : ` after ${brief.lasted}`}`
  return `${brief.severity}, ${brief.status}`
}

function plainText(text: string, maxLength: number): PlainTextElement {
  return { type: 'plain_text', text: clip(defuseSlack(text), maxLength), emoji: false }
}
