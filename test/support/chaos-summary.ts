/** Numbers of many runs, and how to do several at a time. */
import type { TakeOver } from './chaos-run.ts'

export interface Spread {
  readonly count: number
  readonly median: number
  readonly max: number
}

/** Seconds from a kill to the role's next piece of work, by role. */
export function takeOverOf(takeOvers: readonly TakeOver[]): Readonly<Record<string, Spread>> {
  const byRole = new Map<string, number[]>()
  for (const { role, seconds } of takeOvers) byRole.set(role, [...(byRole.get(role) ?? []), seconds])
  return Object.fromEntries(
    [...byRole]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([role, seconds]) => {
        const sorted = seconds.toSorted((a, b) => a - b)
        return [role, { count: sorted.length, median: sorted[sorted.length >> 1]!, max: sorted.at(-1)! }]
      }),
  )
}

/** Works a list off, so many at a time. */
export async function inParallel<T>(workers: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: workers }, worker))
}
