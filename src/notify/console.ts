/** Prints each notice as a readable block: for the first look, for development, and as a record in the log of a container. */
import { z } from 'zod'
import type { Notice } from '../model.ts'
import { briefOf, causeLine, heading } from './message.ts'
import type { ChannelConfig, NotifierKind } from './notifier.ts'
import { minSeveritySchema } from './reason.ts'

const config = z.strictObject({ minSeverity: minSeveritySchema('info') }).describe('Prints notices on standard output')

export const consoleKind: NotifierKind<ChannelConfig> = {
  name: 'console',
  config,
  tells: ['opened', 'escalated', 'updated', 'acknowledged', 'resolved'],
  pages: false,
  concurrency: 1,
  create: (_, { publicUrl, print }) => ({
    send(notice) {
      print(consoleText(notice, publicUrl))
      return Promise.resolve({})
    },
  }),
}

export function consoleText(notice: Notice, publicUrl: string): string {
  const brief = briefOf(notice, publicUrl)
  const lines = [
    `${heading(notice.kind).toUpperCase()}  ${brief.title}  [${brief.severity}, ${brief.status}]`,
    ...(brief.impact === '' ? [] : [`  ${brief.impact}`]),
    `  Why this notice: ${brief.reason}`,
  ]
  if (notice.kind !== 'acknowledged' && notice.kind !== 'resolved') {
    for (const [i, cause] of brief.causes.entries()) {
      lines.push(`  ${i === 0 ? 'Probable cause' : 'or'}: ${causeLine(cause)}`, ...cause.evidence.map((text) => `    - ${text}`))
    }
  }
  if (brief.services.length > 0) lines.push(`  Services: ${brief.services.join(', ')}`)
  return `${lines.join('\n')}\n  ${brief.url}\n\n`
}
