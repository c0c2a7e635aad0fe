/**
 * A door takes one request in its native form and says what became of it. HTTP routes, the Kafka sources, the recorder and the
 * replayer all go through the same call, so what is tested in one holds for the others.
 */
import type { DecodeError } from '../errors.ts'

export interface DoorRequest {
  /** `/api/v1/write`, `/loki/api/v1/push`, `/v1/traces`, `/v1/metrics`, `/v1/logs`, `/api/v2/alerts`, `/api/v1/alertmanager`, `/api/v1/events`. */
  readonly path: string
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Uint8Array
  readonly receivedMs: number
  /**
   * True for what is read at our own pace, as from a topic: it waits there instead of flooding anybody, much of it comes at once after a
   * pause, and what is taken is gone from there. So no budget of a service is spent on it.
   */
  readonly isOwnPace?: boolean
}

export interface DoorResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | string
}

/** One of the records that a request frames, of which nothing could be read. */
export interface UnreadRecord {
  readonly index: number
  readonly error: DecodeError
}

export interface Outcome {
  /** Why nothing of the request could be read; undefined when it was. */
  readonly refusal: DecodeError | undefined
  /** What was taken. */
  readonly rows: number
  /** Of a request that frames many records. */
  readonly unread: readonly UnreadRecord[]
  /** Rows that could be read and were not taken, by reason: too old, one series too many. */
  readonly rejected: readonly (readonly [reason: string, count: number])[]
}

/** For those who have many requests at a time, as the Kafka sources do. */
export interface BulkDoor {
  /**
   * All of them in one go, rows in the order of the requests. Rejects when our own side cannot take them now: then any of them may have been taken,
   * and all are to be handed in again.
   */
  acceptAll(requests: readonly DoorRequest[]): Promise<readonly Outcome[]>
}

export interface Door {
  /** Never throws for what a sender did; rejects only when our own side failed (the caller answers 503). */
  accept(request: DoorRequest): Promise<DoorResponse>
  /** Tells every partition how far time has come. */
  tick(nowMs: number): Promise<void>
}
