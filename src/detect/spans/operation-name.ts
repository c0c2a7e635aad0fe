/**
 * Names of operations without what differs from request to request: numbers, UUIDs and long hexadecimal ids that stand alone between
 * separators become `{id}`, so that a thousand paths are one operation. Names that a framework made with care stay as they are.
 */

const MAX_KNOWN = 20_000
const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
/** Hexadecimal needs a digit: `facade` and `deadbeef` are words. */
const HEX = '(?=[a-f]*[0-9])[0-9a-f]{12,}'
const ID = new RegExp(`(?<=[/:])(?:${UUID}|${HEX}|[0-9]+)(?=$|[/?&#:=\\s])`, 'gi')
const PATH = /\//
/** Longer names are looked at that far. */
const MAX_CHARS = 500

export class OperationNames {
  #known = new Map<string, string>()

  of(name: string): string {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    if (this.#known.size >= MAX_KNOWN) this.#known = new Map()
    const general = withoutIds(name)
    this.#known.set(name, general)
    return general
  }
}

/** `GET /orders/4711/items` as `GET /orders/{id}/items`. */
export function withoutIds(name: string): string {
  const start = name.length > MAX_CHARS ? name.slice(0, MAX_CHARS) : name
  if (!PATH.test(start)) return start
  return start.replace(ID, '{id}')
}
