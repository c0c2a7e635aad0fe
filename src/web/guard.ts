/**
 * Who may come in, and from where. With a token set, programs show it as a bearer token and browsers as the password of HTTP Basic
 * (https://www.rfc-editor.org/rfc/rfc7617). What changes something must come from our own pages or from no browser at all.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { sameSecret } from '../secret.ts'

export interface Visitor {
  /** What somebody at a browser gave as user name; '' when unknown. */
  readonly name: string
}

/** undefined: the token was not shown. '' as token lets everybody in. */
export function admit(authorization: string | undefined, token: string): Visitor | undefined {
  const [, scheme = '', credentials = ''] = /^([A-Za-z]+) +(\S+)\s*$/.exec(authorization ?? '') ?? []
  const basic = scheme.toLowerCase() === 'basic' ? decodeBasic(credentials) : undefined
  if (token === '') return { name: basic?.user ?? '' }
  const shown = basic === undefined ? (scheme.toLowerCase() === 'bearer' ? credentials : undefined) : basic.password
  return shown !== undefined && sameSecret(shown, token) ? { name: basic?.user ?? '' } : undefined
}

/**
 * Browsers say where a request comes from, in Sec-Fetch-Site (https://www.w3.org/TR/fetch-metadata/) or, over plain HTTP, in
 * Origin; no page can take those away. Programs send neither.
 */
export function isFromOurPages(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin'
  const { origin, host } = headers
  if (origin === undefined) return true
  // Only the host: in front of us there may be a proxy that speaks HTTPS.
  return URL.canParse(origin) && host !== undefined && new URL(origin).host === host.toLowerCase()
}

function decodeBasic(credentials: string): { user: string; password: string } | undefined {
  const [, user, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(credentials, 'base64').toString('utf8')) ?? []
  return user === undefined || password === undefined ? undefined : { user, password }
}
