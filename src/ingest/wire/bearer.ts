/** Whether a sender showed the token it was told. https://www.rfc-editor.org/rfc/rfc6750#section-2.1 */
import { sameSecret } from '../../secret.ts'

export function authorized(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)\s*$/i.exec(header ?? '')?.[1]
  return given !== undefined && sameSecret(given, token)
}
