/**
 * The shipped recording as a stream that can be sent again and again: what arrived between two ticks is one chunk, both as requests for a
 * door and as the records that the doors made of them. The doors are the real ones; only the transport behind them keeps in place of
 * sending. Scenes are the two recorded faults, each from shortly before it begins until its incident is over.
 */
import { pino } from 'pino'
import { parseConfig } from '../../src/config.ts'
import type { Door, DoorRequest } from '../../src/ingest/door.ts'
import { createDoors } from '../../src/ingest/doors.ts'
import { replay } from '../../src/ingest/recording/replay.ts'
import { SHIPPED_RECORDING } from '../../src/replays.ts'
import { Telemetry } from '../../src/telemetry.ts'
import { topicsWith } from '../../src/transport/topics.ts'
import type { OutRecord, Transport } from '../../src/transport/transport.ts'

export const PARTITIONS = 4
export const TICK_MS = 5_000

export interface Chunk {
  readonly requests: readonly DoorRequest[]
  /** Of the requests, then of the tick, in the order they were published in. */
  readonly records: readonly OutRecord[]
  /** The tick that ends it. */
  readonly nowMs: number
}

export const SCENES = {
  'slow-database': { from: '2026-11-23T17:46:20Z', to: '2026-11-23T17:53:00Z' },
  'bad-deploy': { from: '2026-11-23T17:54:20Z', to: '2026-11-23T18:00:40Z' },
} as const
export type Scene = keyof typeof SCENES
export const SCENE_NAMES = Object.keys(SCENES) as Scene[]

/** The chunks of a span of time; a chunk belongs where its tick is. */
export function chunksOf(stream: readonly Chunk[], fromMs: number, toMs: number): Chunk[] {
  return stream.filter(({ nowMs }) => nowMs > fromMs && nowMs <= toMs)
}

export async function readStream(): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  let requests: DoorRequest[] = []
  let records: OutRecord[] = []
  const keeping: Transport = {
    ensureTopic: async () => undefined,
    partitions: async () => PARTITIONS,
    publish: async (_topic, published) => void records.push(...published),
    subscribe: () => Promise.reject(new Error('nobody listens to a stream that is only kept')),
    [Symbol.asyncDispose]: async () => undefined,
  }
  const doors = createDoors({
    transport: keeping,
    topics: topicsWith('stream'),
    partitions: PARTITIONS,
    config: parseConfig({}, {}, {}).ingest,
    telemetry: new Telemetry(pino({ level: 'silent' })),
    clock: () => 0, // replay says when a request came
  })
  const tap: Door = {
    async accept(request) {
      requests.push(request)
      return doors.accept(request)
    },
    async tick(nowMs) {
      await doors.tick(nowMs)
      chunks.push({ requests, records, nowMs })
      requests = []
      records = []
    },
  }
  await replay(SHIPPED_RECORDING, tap, { tickMs: TICK_MS, tailMs: 0 })
  return chunks
}
