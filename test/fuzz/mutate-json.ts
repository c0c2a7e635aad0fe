/** Damages JSON by its structure: members replaced, doubled, renamed, nested; then written with the freedoms that JSON leaves. */
import type { Random } from './random.ts'

/** As written: names may come twice, which objects cannot hold. */
type Node = { kind: 'object'; members: [name: string, value: Node][] } | { kind: 'array'; items: Node[] } | { kind: 'raw'; text: string }

const RAW = [
  'null', 'true', 'false', '0', '-1', '-0', '1e308', '1e999', '9007199254740993', '1.5', '""', '"x"', '"__proto__"', '"\\u0000"', '"\\ud800"', '"NaN"',
  '"-Infinity"', '"1795443130000000000"', '"99999999999999999999"', '"2026-11-23T14:29:33.123456789Z"', '"2026-13-45T99:99:99Z"', '{}', '[]', '[[]]',
  '{"a":1}', '"0af7651916cd43dd8448eb211c80319c"', '"\u00fc\u2028"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '{"stringValue":"x"}', '{"arrayValue":{"values":[{}]}}',
] // prettier-ignore
const NAMES = ['__proto__', 'constructor', 'toString', '', 'values', 'value', 'key', 'stream', 'streams', 'labels', 'entries', 'attributes', 'spans', 'intValue', 'kvlistValue', 'bytesValue', 'specversion'] // prettier-ignore

function nodeOf(value: unknown): Node {
  if (Array.isArray(value)) return { kind: 'array', items: value.map(nodeOf) }
  if (typeof value === 'object' && value !== null)
    return { kind: 'object', members: Object.entries(value).map(([name, item]) => [name, nodeOf(item)]) }
  return { kind: 'raw', text: JSON.stringify(value) ?? 'null' }
}

function copyOf(node: Node): Node {
  if (node.kind === 'array') return { kind: 'array', items: node.items.map(copyOf) }
  if (node.kind === 'object') return { kind: 'object', members: node.members.map(([name, value]) => [name, copyOf(value)]) }
  return { ...node }
}

function write(node: Node, random: Random, spaces: boolean): string {
  const space = () => (spaces && random.oneIn(6) ? random.pick([' ', '\n', '\t', '\r\n  ']) : '')
  const name = (text: string) =>
    spaces && random.oneIn(20) && text !== ''
      ? `"\\u${text.charCodeAt(0).toString(16).padStart(4, '0')}${JSON.stringify(text.slice(1)).slice(1)}`
      : JSON.stringify(text)
  if (node.kind === 'raw') return space() + node.text + space()
  if (node.kind === 'array') return `${space()}[${node.items.map((item) => write(item, random, spaces)).join(',')}${space()}]`
  return `{${node.members.map(([key, value]) => `${space()}${name(key)}${space()}:${write(value, random, spaces)}`).join(',')}${space()}}${space()}`
}

function childrenOf(node: Node): Node[] {
  return node.kind === 'array' ? node.items : node.kind === 'object' ? node.members.map(([, value]) => value) : []
}

function someInner(root: Node, random: Random): Node {
  let node = root
  for (;;) {
    const inner = childrenOf(node).filter((child) => childrenOf(child).length > 0)
    if (inner.length === 0 || random.oneIn(5)) return node
    node = random.pick(inner)
  }
}

function change(root: Node, donor: Node, random: Random): void {
  const node = someInner(root, random)
  if (node.kind === 'raw') return
  const count = childrenOf(node).length
  if (count === 0) return
  const at = random.below(count)
  const replace = (value: Node) => {
    if (node.kind === 'array') node.items[at] = value
    else node.members[at]![1] = value
  }
  const repeat = (times: number) => {
    if (node.kind === 'array') node.items.splice(at, 0, ...Array.from({ length: times }, () => copyOf(node.items[at]!)))
    else
      node.members.splice(
        at,
        0,
        ...Array.from({ length: times }, (): [string, Node] => [node.members[at]![0], copyOf(node.members[at]![1])]),
      )
  }
  switch (random.below(8)) {
    case 0:
      if (node.kind === 'array') node.items.splice(at, 1)
      else node.members.splice(at, 1)
      return
    case 1:
      repeat(random.oneIn(10) ? 100 : 1)
      return
    case 2:
      if (node.kind === 'object') node.members[at]![0] = random.oneIn(2) ? random.pick(NAMES) : random.pick(node.members)[0]
      return
    case 3: {
      const value = childrenOf(node)[at]!
      let nested: Node = value
      for (let depth = 1 + random.below(random.oneIn(10) ? 300 : 4); depth > 0; depth--)
        nested =
          random.oneIn(2) || node.kind === 'array'
            ? { kind: 'array', items: [nested] }
            : { kind: 'object', members: [[node.members[at]![0], nested]] }
      replace(nested)
      return
    }
    case 4:
      replace(copyOf(random.pick([donor, ...childrenOf(someInner(donor, random))])))
      return
    case 5:
      if (node.kind === 'array') node.items.reverse()
      else node.members.reverse()
      return
    default:
      replace({ kind: 'raw', text: random.pick(RAW) })
  }
}

export function mutateJson(seed: Buffer, other: Buffer, random: Random): Buffer {
  const root = nodeOf(JSON.parse(seed.toString('utf8')))
  const donor = nodeOf(JSON.parse(other.toString('utf8')))
  for (let left = random.below(5); left > 0; left--) change(root, donor, random)
  return Buffer.from(write(root, random, random.oneIn(2)))
}
