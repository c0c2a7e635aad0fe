/** kafkajs' queue of requests, mended: no timer while there is nothing to wait for, and none in the past. */
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { mendIdleTimer } from '../../src/transport/kafka-idle.ts'

afterEach(() => void vi.restoreAllMocks())

const entry = (correlationId: number) => ({
  entry: { correlationId, resolve() {}, reject() {} },
  expectResponse: true,
  sendRequest: vi.fn(),
})
const quiet = { namespace: () => quiet, debug() {}, warn() {} }
const queueOf = (maxInFlightRequests: number | null) =>
  new RequestQueue({ maxInFlightRequests, requestTimeout: 1000, enforceRequestTimeout: false, clientId: 't', broker: 'b', logger: quiet })

describe('a connection that is idle', () => {
  it('has no timer running, where kafkajs has one for each millisecond', () => {
    mendIdleTimer()
    mendIdleTimer() // another transport in this process
    const timers = vi.spyOn(globalThis, 'setTimeout')
    const queue = queueOf(null)
    queue.push(entry(1))
    queue.fulfillRequest({ correlationId: 1, payload: Buffer.alloc(0), size: 0 })
    expect(timers).not.toHaveBeenCalled()
  })

  it('what is held back goes out when its turn comes, and after a throttling broker’s time', async () => {
    mendIdleTimer()
    const timers = vi.spyOn(globalThis, 'setTimeout')
    const queue = queueOf(1)
    const [first, second, third] = [entry(1), entry(2), entry(3)]
    queue.push(first)
    queue.push(second)
    expect([first, second].map(({ sendRequest }) => sendRequest.mock.calls.length)).toEqual([1, 0])
    queue.fulfillRequest({ correlationId: 1, payload: Buffer.alloc(0), size: 0 })
    expect(second.sendRequest).toHaveBeenCalledOnce()
    queue.fulfillRequest({ correlationId: 2, payload: Buffer.alloc(0), size: 0 })
    queue.maybeThrottle(30)
    queue.push(third)
    expect(third.sendRequest).not.toHaveBeenCalled()
    await vi.waitFor(() => expect(third.sendRequest).toHaveBeenCalledOnce())
    for (const [, ms] of timers.mock.calls) expect(ms).toBeGreaterThanOrEqual(0)
    queue.destroy()
  })
})
