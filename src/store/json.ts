/**
 * JSON text that PostgreSQL takes. Strings from telemetry may hold U+0000 or half a surrogate pair, which neither `text` nor
 * `jsonb` can (https://www.postgresql.org/docs/current/datatype-json.html); each becomes U+FFFD, nothing else changes.
 */

/** An escaped backslash is matched too, so that `\\u0000`, which is six harmless characters, stays as it is. */
const escapes = /\\(?:\\|u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})/g

/** JSON.stringify writes surrogates as escapes only where they are alone, so every one found is a broken one. */
export function toJson(value: unknown): string {
  return JSON.stringify(value).replace(escapes, (found) => (found === '\\\\' ? found : '\\ufffd'))
}

/** The same for text that is a parameter itself. */
export function toText(value: string): string {
  return JSON.parse(toJson(value)) as string
}
