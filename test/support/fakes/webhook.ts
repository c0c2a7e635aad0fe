/**
 * A receiver by Standard Webhooks: checks the signature as a careful one would (own code, from the specification), refuses what is
 * unsigned or old, and folds deliveries by `webhook-id`. https://github.com/standard-webhooks/standard-webhooks
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { startFake } from './server.ts'
import type { Fake, FakeRequest } from './server.ts'

export interface Delivery {
  readonly id: string
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
  /** How often it came. */
  times: number
}

export interface FakeWebhook extends Fake {
  readonly secret: string
  /** One per `webhook-id`. */
  readonly deliveries: readonly Delivery[]
}

export interface WebhookOptions {
  readonly secret?: string
  readonly port?: number
  /** Its time, for the check of the timestamp. */
  readonly clock?: () => number
}

export async function startWebhook(options: WebhookOptions = {}): Promise<FakeWebhook> {
  const { clock = Date.now, secret = `whsec_${Buffer.from('a secret of 24 bytes ...').toString('base64')}` } = options
  const deliveries: Delivery[] = []
  const fake = await startFake((request) => {
    const problem = problemOf(request, secret, clock())
    if (problem !== '') return { status: 400, body: problem }
    const id = request.headers['webhook-id'] ?? ''
    const known = deliveries.find((delivery) => delivery.id === id)
    if (known) known.times++
    else deliveries.push({ id, times: 1, ...(JSON.parse(request.body) as { type: string; data: Record<string, unknown> }) })
    return { status: 204 }
  }, options.port)
  return { ...fake, url: `${fake.url}/hook`, secret, deliveries }
}

function problemOf({ body, headers }: FakeRequest, secret: string, nowMs: number): string {
  const { 'webhook-id': id, 'webhook-signature': signatures, 'webhook-timestamp': timestamp } = headers
  if (id === undefined || signatures === undefined || timestamp === undefined) return 'unsigned'
  if (!(Math.abs(nowMs / 1000 - Number(timestamp)) <= 300)) return 'too old or too new'
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret)
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest()
  const valid = signatures.split(' ').some((signature) => {
    const [version, value = ''] = signature.split(',')
    const given = Buffer.from(value, 'base64')
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected)
  })
  return valid ? '' : 'signature does not match'
}
