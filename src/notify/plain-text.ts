/**
 * Text from telemetry is hostile until it has been through here: no control characters, no terminal escapes, no marks that turn
 * the reading direction, one line, and no longer than the receiver takes.
 */

/** C0, DEL, C1, zero-width and bidirectional marks, line separators, byte-order mark. */
// oxlint-disable-next-line no-control-regex -- they are what it is for
const invisible = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+/g
const halfPair = /\p{Surrogate}/gu

export function plain(text: string): string {
  return text.replace(invisible, ' ').replace(halfPair, '\ufffd').replace(/ {2,}/g, ' ').trim()
}

/** At most `maxLength` UTF-16 units, the last one … when something was cut; never half a character. */
export function clip(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text
  const cut = text.slice(0, Math.max(0, maxLength - 1))
  return `${/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut}…`
}

/** Slack's three control characters: https://docs.slack.dev/messaging/formatting-message-text#escaping */
export function escapeSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** For a Slack `plain_text` object, which is not parsed; broken up all the same so that no `<!channel>` is ever complete. */
export function defuseSlack(text: string): string {
  return text.replace(/<(?=[!@#])/g, '<\u200b')
}

/** Jira's wiki markup: a backslash makes each of these a plain character. */
export function escapeWiki(text: string): string {
  return text.replace(/[\\{}[\]*_^~+\-!|#?@]/g, '\\$&')
}
