/**
 * Sends a chunk through the doors as real senders do: one connection per kind of sender, each in its own order, and what was not answered is
 * sent again to whoever ingests by then. A refused or broken connection is a reason to come back, not an error.
 */
import type { DoorRequest } from '../../src/ingest/door.ts'
import type { RoleProcess } from './chaos-process.ts'
import type { Progress } from './chaos-progress.ts'
import type { Chunk } from './chaos-stream.ts'

export interface SenderOptions {
  readonly progress: Progress
  /** Who ingests at the moment. */
  readonly ingest: () => RoleProcess | undefined
}

/** `hold`: what the doors are to do with one of the requests, the first time it comes. Resolves when all are answered and time has passed. */
export async function sendThroughDoors(
  { nowMs, requests }: Chunk,
  hold: 'answer' | 'request' | undefined,
  options: SenderOptions,
): Promise<void> {
  const bySender = new Map<string, DoorRequest[]>()
  for (const request of requests) bySender.set(request.path, [...(bySender.get(request.path) ?? []), request])
  const held = requests[requests.length >> 1]
  await Promise.all(
    [...bySender.values()].map(async (queue) => {
      for (const request of queue) await send(request, request === held ? hold : undefined, options)
    }),
  )
  await untilAnswered(options, async (ingest) => {
    const ticks = /ticks=(\S+)/.exec(ingest.output)![1]!
    return (await fetch(`${ticks}/tick?at=${nowMs}`, { method: 'POST' })).status === 204
  })
}

async function send({ body, headers, path, receivedMs }: DoorRequest, hold: string | undefined, options: SenderOptions): Promise<void> {
  let tries = 0
  await untilAnswered(options, async (ingest) => {
    const sent: Record<string, string> = { 'x-received-ms': String(receivedMs) }
    for (const [name, value] of Object.entries(headers)) if (value !== undefined && name !== 'content-length') sent[name] = value
    if (hold !== undefined && tries++ === 0) sent['x-hold'] = hold
    const answer = await fetch((await ingest.started) + path, { method: 'POST', headers: sent, body: Uint8Array.from(body) })
    await answer.arrayBuffer()
    return answer.status < 500 && answer.status !== 429
  })
}

async function untilAnswered({ ingest, progress }: SenderOptions, ask: (ingest: RoleProcess) => Promise<boolean>): Promise<void> {
  await progress.until('ingest to answer', async () => {
    const process = ingest()
    if (process === undefined) return false
    try {
      await process.started
      return await ask(process)
    } catch {
      return false // killed meanwhile
    }
  })
}
