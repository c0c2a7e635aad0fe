/**
 * Loads modules of the built program. What ships is measured, not the sources through tsx, which names every closure at run time
 * and makes hot paths slower than they are.
 */
import { existsSync } from 'node:fs'

const dist = new URL('../dist/', import.meta.url)

/** `path` as under src, without its extension: `built<typeof import('../src/codec.ts')>('codec')`. */
export async function built<Module>(path: string): Promise<Module> {
  return (await import(new URL(`${path}.js`, dist).href)) as Module
}

export function isBuilt(): boolean {
  return existsSync(new URL('.built', dist))
}
