/** The internal of kafkajs that kafka-idle.ts mends. */
declare module 'kafkajs/src/network/requestQueue/index.js' {
  class RequestQueue {
    readonly pending: readonly unknown[]
    constructor(options: Readonly<Record<string, unknown>>)
    push(request: unknown): void
    fulfillRequest(answer: { readonly correlationId: number; readonly payload: Buffer; readonly size: number }): void
    maybeThrottle(ms: number): void
    scheduleCheckPendingRequests: (this: RequestQueue) => void
    destroy(): void
  }
  export default RequestQueue
}
