/**
 * The configuration explained: a JSON schema for editors and an example file with every key, its default and its meaning.
 * Both are generated from the one schema, and a test compares them with the files in config/.
 */
import { stringify } from 'yaml'
import { z } from 'zod'
import { configSchema } from './config.ts'

interface Node {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly minimum?: number
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Node>>
  readonly required?: readonly string[]
}

export function configJsonSchema(): unknown {
  return { title: 'Tocsin configuration', ...z.toJSONSchema(configSchema, { io: 'input', target: 'draft-2020-12' }) }
}

/** Keys that have a default are shown with it; sections that are off by default are shown commented out. */
export function configExample(): string {
  const lines = [
    '# Every key of the Tocsin configuration with its default. Nothing is required: an empty file, or none, is valid.',
    '# ${NAME} and ${NAME:-fallback} take a value from the environment.',
    '# yaml-language-server: $schema=./schema.json',
  ]
  section(configJsonSchema() as Node, 0, false, lines)
  return `${lines.join('\n')}\n`
}

function section(node: Node, depth: number, off: boolean, lines: string[]): void {
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    const indent = '  '.repeat(depth)
    const isSection = child.properties !== undefined
    if (depth === 0) lines.push('')
    const choices = child.enum === undefined ? '' : ` (${child.enum.join(' | ')})`
    if (child.description !== undefined) lines.push(`${indent}# ${child.description}${choices}`)
    const childOff = off || child.default === undefined
    const mark = childOff ? '# ' : ''
    if (isSection) {
      lines.push(`${indent}${mark}${key}:`)
      section(child, depth + 1, childOff, lines)
      continue
    }
    const value = child.default ?? placeholder(child)
    const text = stringify({ [key]: value }, { lineWidth: 0, defaultStringType: 'PLAIN' }).trimEnd()
    for (const line of text.split('\n')) lines.push(`${indent}${mark}${line}`)
  }
}

function placeholder(node: Node): unknown {
  if (node.enum !== undefined) return node.enum[0]
  switch (node.type) {
    case 'number':
    case 'integer':
      return node.minimum ?? 0
    case 'boolean':
      return false
    case 'array':
      return []
    default:
      return ''
  }
}
