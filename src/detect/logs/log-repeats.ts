/** Groups of words that repeat inside a key, as the entries of a list do. */

export const WILD = '<*>'

/** Keeps one of a group of one to four chunks that comes three times or more in a row and has a wildcard in it. Chunks are equal when they differ only in a separator at the end. */
export function withoutRepeats(key: string): string {
  const chunks = key.split(' ')
  if (chunks.length < 3 || chunks.length > 400) return key
  const bare = chunks.map(withoutSeparator)
  const kept: string[] = []
  let at = 0
  let dropped = false
  while (at < chunks.length) {
    let size = 1
    let times = 1
    for (; size <= 4; size++) {
      times = repeats(bare, at, size)
      if (times >= 3 && bare.slice(at, at + size).some(isVariable)) break
    }
    if (size > 4) {
      kept.push(chunks[at]!)
      at++
      continue
    }
    for (let i = 0; i < size; i++) kept.push(bare[at + i]!)
    at += size * times
    dropped = true
  }
  return dropped ? kept.join(' ') : key
}

function repeats(chunks: readonly string[], at: number, size: number): number {
  let times = 1
  for (let next = at + size; next + size <= chunks.length; next += size, times++) {
    for (let i = 0; i < size; i++) if (chunks[next + i] !== chunks[at + i]) return times
  }
  return times
}

function isVariable(chunk: string): boolean {
  return chunk.includes(WILD)
}

function withoutSeparator(chunk: string): string {
  return chunk.endsWith(',') || chunk.endsWith(';') ? chunk.slice(0, -1) : chunk
}
