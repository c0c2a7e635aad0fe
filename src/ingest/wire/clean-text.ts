/**
 * Text from outside, made harmless for what comes after: no NUL (PostgreSQL refuses it in text and jsonb), no lone surrogates (UTF-8
 * has none), no more than so many characters. Nothing else is touched; escaping is the business of whoever shows it.
 */

/** In Node 20, not yet in the library that TypeScript's es2023 describes; at once for text without wide characters. */
type Checkable = string & { isWellFormed(): boolean }

export function cleanText(text: string, maxChars: number): string {
  let clean = text.length > maxChars ? clip(text, maxChars) : text
  if (clean.includes('\0')) clean = clean.replaceAll('\0', '\ufffd')
  if (!(clean as Checkable).isWellFormed()) clean = clean.replace(/\p{Surrogate}/gu, '\ufffd')
  return clean
}

/** Cuts without leaving half a surrogate pair. */
function clip(text: string, maxChars: number): string {
  const last = text.charCodeAt(maxChars - 1)
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? maxChars - 1 : maxChars)
}
