/**
 * A door takes one request in its native form and says what became of it. HTTP routes, the Kafka sources, the recorder and the
 * replayer all go through the same call, so what is tested in one holds for the others.
 */

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

export interface Door {
  /** Never throws for what a sender did; rejects only when our own side failed (the caller answers 503). */
  accept(request: DoorRequest): Promise<DoorResponse>
  /** Tells every partition how far time has come. */
  tick(nowMs: number): Promise<void>
}
