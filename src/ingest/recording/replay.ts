/**
 * Plays a recording through a door: requests in the order they were recorded in, each awaited, time told in between as it passed when they
 * arrived. Nothing here looks at a clock, so the same recording gives the same calls, at any speed.
 */
import type { Door } from '../door.ts'
import { readManifest, readRecording } from './recording.ts'

export interface ReplayOptions {
  readonly tickMs: number
  /** Time that passes after the last request, so that what is open can end. */
  readonly tailMs: number
  readonly onProgress?: (progress: ReplayProgress) => void
  readonly signal?: AbortSignal
}

export interface ReplayProgress {
  readonly requests: number
  readonly totalRequests: number
  /** Event time reached. */
  readonly nowMs: number
  readonly firstMs: number
  /** Of the last request; the tail comes after it. */
  readonly lastMs: number
}

export interface Replayed {
  readonly requests: number
  /** Requests that the doors refused with 4xx, as they did (or would have) when they were recorded. */
  readonly refused: number
  readonly firstMs: number
  readonly endMs: number
}

/** Throws when a door answers 5xx or 429: a replay that leaves something out is none. */
export async function replay(folder: string, door: Door, options: ReplayOptions): Promise<Replayed> {
  const { tickMs, tailMs, onProgress, signal } = options
  const manifest = await readManifest(folder)
  let requests = 0
  let refused = 0
  let nowMs = manifest.firstMs
  let nextTickMs = (Math.floor(manifest.firstMs / tickMs) + 1) * tickMs
  const report = () =>
    onProgress?.({ requests, totalRequests: manifest.requests, nowMs, firstMs: manifest.firstMs, lastMs: manifest.lastMs })
  const passTime = async (untilMs: number) => {
    for (; nextTickMs <= untilMs; nextTickMs += tickMs) {
      signal?.throwIfAborted()
      await door.tick(nextTickMs)
      nowMs = nextTickMs
      report()
    }
  }
  for await (const request of readRecording(folder)) {
    signal?.throwIfAborted()
    // Answers may have come in another order than requests: time does not go back.
    const arrivedMs = Math.max(nowMs, request.receivedMs)
    await passTime(arrivedMs)
    nowMs = arrivedMs
    const response = await door.accept({ ...request, receivedMs: arrivedMs })
    if (response.status === 429 || response.status >= 500)
      throw new Error(`the door at ${request.path} answered ${response.status} during the replay of ${folder}`)
    if (response.status >= 400) refused++
    requests++
    report()
  }
  await passTime(nowMs + tailMs)
  return { requests, refused, firstMs: manifest.firstMs, endMs: nowMs }
}
