/**
 * kafkajs looks once a millisecond, on every connection and for ever, whether requests wait that it holds back: its next look is due
 * `throttledUntil - now` from now, far in the past unless a broker throttles it, and Node makes one millisecond of that (and Node
 * 24 a TimeoutNegativeWarning). With nothing held back there is nothing to look for: what is held back later arms the timer itself.
 * https://github.com/tulios/kafkajs/issues/1704
 */
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js'

let isMended = false

/** Once for the process, before the first connection. */
export function mendIdleTimer(): void {
  if (isMended) return
  isMended = true
  const queue = RequestQueue.prototype
  const schedule = queue.scheduleCheckPendingRequests
  queue.scheduleCheckPendingRequests = function (this: typeof queue) {
    if (this.pending.length > 0) schedule.call(this)
  }
}
