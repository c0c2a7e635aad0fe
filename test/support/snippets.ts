/**
 * The blocks of docs/SENDERS.md, by the name that stands behind their language. Tests run them as they stand there: only addresses, paths and
 * what a comment in the block itself offers (`# or gzip, zstd`) may be put in their place.
 */
import { readFileSync } from 'node:fs'

export interface Snippet {
  readonly name: string
  readonly language: string
  readonly text: string
}

export const DOCUMENT = readFileSync(new URL('../../docs/SENDERS.md', import.meta.url), 'utf8')

const BLOCK = /^```(\w+) ([\w-]+)\n([\s\S]*?)^```$/gm

export function snippets(): readonly Snippet[] {
  return [...DOCUMENT.matchAll(BLOCK)].map(([, language, name, text]) => ({ language: language!, name: name!, text: text! }))
}

/** `moves` puts another address, port or path in the place of the one that stands there, everywhere. */
export function snippet(name: string, moves: Readonly<Record<string, string>> = {}): string {
  const found = snippets().filter((each) => each.name === name)
  if (found.length !== 1) throw new Error(`docs/SENDERS.md has ${found.length} blocks named ${name}`)
  return moved(found[0]!.text, moves)
}

export function moved(text: string, moves: Readonly<Record<string, string>>): string {
  let result = text
  for (const [from, to] of Object.entries(moves)) {
    if (!/^[\w.:/-]+$/.test(from) || !/\d|[./]/.test(from)) throw new Error(`${from} is no address and no path`)
    if (!result.includes(from)) throw new Error(`there is no ${from} in\n${text}`)
    result = result.replaceAll(from, to)
  }
  return result
}

/** Takes another of the choices that comments offer, in every line that offers it: `compression: zstd # or none, gzip`. */
export function chosen(text: string, from: string, to: string): string {
  let offers = 0
  const lines = text.split('\n').map((line) => {
    const [before = '', comment = ''] = line.split(' # or ')
    const at = before.lastIndexOf(from)
    if (at < 0 || !comment.split(/[\s,]+/).includes(to)) return line
    offers++
    return `${before.slice(0, at)}${to}${before.slice(at + from.length)} # or ${comment}`
  })
  if (offers === 0) throw new Error(`no line offers ${to} instead of ${from} in\n${text}`)
  return lines.join('\n')
}

/** The program and its arguments of a block that is one command. */
export function argumentsOf(command: string): string[] {
  return command.trim().split(/\s+/)
}
