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

/** Takes another of the choices that the comment of a line offers: `compression: zstd # or none, gzip`. */
export function chosen(text: string, from: string, to: string): string {
  const lines = text.split('\n')
  const offers = lines.filter(
    (line) =>
      line.includes(from) &&
      /# or .*/
        .exec(line)?.[0]
        .split(/[\s,]+/)
        .includes(to),
  )
  if (offers.length === 0) throw new Error(`no line offers ${to} instead of ${from} in\n${text}`)
  return lines
    .map((line) => {
      if (!offers.includes(line)) return line
      const [before, comment] = line.split(' # ') as [string, string]
      return `${before.replace(from, to)} # ${comment}`
    })
    .join('\n')
}

/** The program and its arguments of a block that is one command. */
export function argumentsOf(command: string): string[] {
  return command.trim().split(/\s+/)
}
