/** Times as text. https://www.rfc-editor.org/rfc/rfc3339 */

/** With any number of decimals, of which milliseconds are kept; undefined when it is no time with its zone. */
export function parseTime(value: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:Z|[+-]\d\d:\d\d)$/i.test(value)) return undefined
  const ms = Date.parse(value.replace(/(\.\d{3})\d+/, '$1'))
  return Number.isNaN(ms) ? undefined : ms
}
