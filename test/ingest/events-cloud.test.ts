/**
 * Changes as delivery tools send them: CloudEvents in all modes and CDEvents. The bodies are shaped like the examples of the specifications:
 * https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md#314-examples
 * https://github.com/cdevents/spec/tree/main/conformance
 */
import { describe, expect, it } from 'vitest'
import { cloudEventRequest } from '../../src/ingest/events/cloud-events.ts'
import type { DoorRequest } from '../../src/ingest/door.ts'
import type { Change } from '../../src/model.ts'
import { NOW_MS, eventsOf, fixture, openDoors, post, postJson } from './doors-fixture.ts'

const EVENTS = '/api/v1/events'
const STRUCTURED = { 'content-type': 'application/cloudevents+json; charset=UTF-8' }
const BATCH = { 'content-type': 'application/cloudevents-batch+json' }

type Event = Record<string, unknown>
const cloudEvent = JSON.parse(String(fixture('events/cloudevent.json'))) as Event
const cdEvent = JSON.parse(String(fixture('events/cdevent-service-deployed.json'))) as {
  context: Event
  subject: { id: string; content: Event }
}

const structured = (event: unknown) => post(EVENTS, STRUCTURED, JSON.stringify(event))
const batch = (...events: unknown[]) => post(EVENTS, BATCH, JSON.stringify(events))
const binary = (headers: Record<string, string>, body: Uint8Array | string, type = 'application/json') =>
  post(EVENTS, { 'content-type': type, 'ce-specversion': '1.0', 'ce-source': '/ci', 'ce-id': '7', ...headers }, body)
/** A CDEvent in the CloudEvent that its binding describes. */
const wrapped = ({ context, subject }: typeof cdEvent) => ({
  specversion: '1.0',
  id: context['id'],
  source: context['source'],
  type: context['type'],
  subject: subject.id,
  time: context['timestamp'],
  datacontenttype: 'application/cdevents+json',
  data: { context, subject },
})
const cdEventOf = (type: string, content: Event = {}, id = 'deployment/checkout') => ({
  context: { ...cdEvent.context, type },
  subject: { ...cdEvent.subject, id, content: { ...cdEvent.subject.content, ...content } },
})

interface Answer {
  readonly ids: readonly string[]
  readonly skipped?: Readonly<Record<string, number>>
}

async function taken(...requests: DoorRequest[]): Promise<{ changes: Change[]; answers: Answer[] }> {
  const { door, transport } = openDoors()
  const answers: Answer[] = []
  for (const request of requests) {
    const response = await door.accept(request)
    expect([response.status, String(response.body)]).toEqual([202, expect.stringMatching(/^\{"ids":/)])
    answers.push(JSON.parse(String(response.body)) as Answer)
  }
  return { changes: eventsOf(transport.of('events')) as Change[], answers }
}

describe('a CloudEvent', () => {
  it('whose type says what was changed is a change of its subject, with what its data adds', async () => {
    const { changes, answers } = await taken(structured(cloudEvent))
    expect(changes).toEqual([
      {
        kind: 'change',
        id: answers[0]!.ids[0],
        type: 'deploy',
        service: 'checkout',
        version: '1.4.2',
        title: 'checkout 1.4.2',
        atMs: Date.parse('2026-11-23T15:58:00.500Z'),
        url: 'https://ci.acme.example/runs/7',
      },
    ])
  })

  it('has its type read from the end, however long it is and whatever it is made of', async () => {
    const long = `${'com.'.repeat(400)}checkout.deployed.v1.2`
    expect((await taken(structured({ ...cloudEvent, type: long }))).changes).toMatchObject([{ type: 'deploy' }])
    const digits = Array.from({ length: 1_000 }, (_, i) => ({ ...cloudEvent, id: String(i), type: `${'.1'.repeat(1_000)}x` }))
    const before = process.cpuUsage()
    const { answers } = await taken(batch(...digits))
    const { user, system } = process.cpuUsage(before)
    // Looked at as a whole, a thousand of them took more than a second.
    expect([answers[0]!.skipped, (user + system) / 1000 < 900]).toEqual([{ 'cloudevent-of-another-type': 1_000 }, true])
  })

  it('is the same change in every mode, however often it comes', async () => {
    const { data, specversion, type, source, id, time, subject } = cloudEvent as Record<string, string>
    const inHeaders = { 'ce-type': type!, 'ce-source': source!, 'ce-id': id!, 'ce-time': time!, 'ce-subject': subject! }
    const fromKafka = (headers: Record<string, string>, value: string) => cloudEventRequest(headers, Buffer.from(value), NOW_MS)!
    const { changes, answers } = await taken(
      structured(cloudEvent),
      structured({ ...cloudEvent, data: undefined, data_base64: Buffer.from(JSON.stringify(data)).toString('base64') }),
      structured({ ...cloudEvent, data: JSON.stringify(data) }),
      batch(cloudEvent, cloudEvent),
      postJson(EVENTS, cloudEvent),
      binary(inHeaders, JSON.stringify(data)),
      fromKafka(STRUCTURED, JSON.stringify(cloudEvent)),
      fromKafka(
        { ce_specversion: specversion!, ce_type: type!, ce_source: source!, ce_id: id!, ce_time: time!, ce_subject: subject! },
        JSON.stringify(data),
      ),
    )
    expect(changes).toEqual(Array.from({ length: 8 }, () => changes[0]))
    expect(answers[3]).toEqual({ ids: [changes[0]!.id], skipped: { duplicate: 1 } })
    expect((await taken(structured({ ...cloudEvent, id: 'another' }))).changes[0]!.id).not.toBe(changes[0]!.id)
    expect((await taken(structured({ ...cloudEvent, source: '/another' }))).changes[0]!.id).not.toBe(changes[0]!.id)
  })

  it('may hold a change in our own form, which says its own time or takes that of the event', async () => {
    const event = { ...cloudEvent, type: 'com.acme.something', data: { type: 'flag', service: 'cart', title: 'fast path on' } }
    expect((await taken(structured(event))).changes).toMatchObject([
      { type: 'flag', service: 'cart', title: 'fast path on', atMs: Date.parse('2026-11-23T15:58:00.500Z') },
    ])
    expect((await taken(structured({ ...event, data: { ...event.data, time: NOW_MS - 9 } }))).changes).toMatchObject([{ atMs: NOW_MS - 9 }])
  })

  it.each<[type: string, subject: string, change: Partial<Change>]>([
    ['com.acme.checkout.deployed', 'checkout', { type: 'deploy', service: 'checkout', title: 'deploy of checkout' }],
    ['com.acme.deployment.started', 'apps/cart/', { type: 'deploy', service: 'cart' }],
    ['com.acme.cart.rolledback.v2', 'cart', { type: 'rollback' }],
    ['com.acme.flag.toggled.1.0', 'cart', { type: 'flag' }],
    ['com.acme.cart-scaled', 'cart', { type: 'scaling' }],
    ['io.argoproj.app.synced', 'cart', { type: 'sync' }],
  ])('of type %s about %s', async (type, subject, change) => {
    expect((await taken(structured({ ...cloudEvent, type, subject, data: undefined }))).changes).toMatchObject([change])
  })

  it('of a type that is no change, or that names nothing, is taken and counted', async () => {
    const deploy = { ...cloudEvent, id: '2', subject: undefined, data: undefined }
    const { changes, answers } = await taken(
      batch({ ...cloudEvent, type: 'com.deployment.shop.order.created' }, deploy, { ...cloudEvent, id: '3' }),
      structured({ ...deploy, service: 'cart' }),
    )
    expect(answers[0]).toEqual({
      ids: [changes[0]!.id],
      skipped: { 'cloudevent-of-another-type': 1, 'cloudevent-names-no-service': 1 },
    })
    expect(changes.map(({ service }) => service)).toEqual(['checkout', 'cart'])
  })

  it.each<[header: string, service: string]>([
    ['checkout', 'checkout'],
    ['Euro%20%E2%82%AC%20%F0%9F%98%80', 'Euro € 😀'],
    ['Euro%20%e2%82%ac', 'Euro €'],
    ['"old \\"quoting\\""', 'old "quoting"'],
    ['100%', '100%'],
    ['%2525', '%25'],
  ])('in binary mode with the header value %s is about %s', async (header, service) => {
    const { changes } = await taken(binary({ 'ce-type': 'x.deployed', 'ce-subject': header }, ''))
    expect(changes[0]!.service).toBe(service)
  })

  it('from Kafka keeps its attributes as they are', async () => {
    const headers = { CE_SpecVersion: '1.0', ce_type: 'x.deployed', ce_id: '1', ce_source: '/', ce_subject: '100% "€ 😀" a%20b' }
    expect((await taken(cloudEventRequest(headers, new Uint8Array(0), NOW_MS)!)).changes[0]!.service).toBe('100% "€ 😀" a%20b')
    expect(cloudEventRequest({ 'content-type': 'application/json', ce_type: 'x' }, new Uint8Array(0), NOW_MS)).toBeUndefined()
  })

  it('in binary mode may hold what nobody here reads', async () => {
    const { changes } = await taken(binary({ 'ce-type': 'x.deployed', 'ce-subject': 'cart' }, Buffer.of(0, 1, 2), 'application/avro'))
    expect(changes).toMatchObject([{ service: 'cart', title: 'deploy of cart' }])
  })
})

describe('a CDEvent', () => {
  const digest = 'sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427'

  it('of a deployment is a change of its service, alone or in a CloudEvent', async () => {
    const { changes } = await taken(
      postJson(EVENTS, cdEvent),
      structured(wrapped(cdEvent)),
      post(
        EVENTS,
        {
          'content-type': 'application/cdevents+json; charset=utf-8',
          'ce-specversion': '1.0',
          'ce-type': cdEvent.context['type'] as string,
          'ce-id': cdEvent.context['id'] as string,
          'ce-source': cdEvent.context['source'] as string,
          'ce-time': cdEvent.context['timestamp'] as string,
        },
        JSON.stringify(cdEvent),
      ),
    )
    expect(changes).toEqual(Array.from({ length: 3 }, () => changes[0]))
    expect(changes[0]).toMatchObject({
      type: 'deploy',
      service: 'checkout',
      version: digest,
      title: 'checkout deployed to sha256:0b31b1c02ff4 in prod1',
      atMs: Date.parse('2026-11-23T15:57:05.315Z'),
      url: '',
    })
  })

  it.each<[type: string, content: Event, change: Partial<Change>]>([
    [
      'service.upgraded.0.1.0',
      { artifactId: 'pkg:oci/checkout@sha256%3Aabc?tag=1.4.2' },
      { type: 'deploy', version: '1.4.2', title: 'checkout upgraded to 1.4.2 in prod1' },
    ],
    ['service.upgraded.0.3.0', { artifactId: 'pkg:golang/acme.example/shop/checkout@234fd47e07d1' }, { version: '234fd47e07d1' }],
    [
      'service.rolledback.0.2.0',
      { environment: { id: 'x', name: 'production' } },
      { type: 'rollback', title: 'checkout rolled back to sha256:0b31b1c02ff4 in production' },
    ],
    ['service.removed.0.3.0-draft', { artifactId: undefined }, { type: 'other', version: '', title: 'checkout removed in prod1' }],
    ['service.published.0.1.1', { artifactId: undefined, environment: undefined }, { type: 'other', title: 'checkout published' }],
    [
      'deployment.finished.0.1.0',
      { outcome: 'failure' },
      { type: 'deploy', service: 'checkout', title: 'checkout deployment finished to sha256:0b31b1c02ff4 in prod1: failure' },
    ],
  ])('%s', async (type, content, change) => {
    expect((await taken(structured(wrapped(cdEventOf(`dev.cdevents.${type}`, content))))).changes).toMatchObject([change])
  })

  it.each([
    'dev.cdevents.environment.modified.0.3.0',
    'dev.cdevents.incident.detected.0.3.0',
    'dev.cdevents.pipelinerun.finished.0.2.0',
    'dev.cdevents.change.merged.0.1.0',
    'dev.cdevents.ticket.created.0.2.0',
    'dev.cdevents.deployment.started.0.1.0',
    'dev.cdeventsx.acme-service.deployed.0.1.0',
    'dev.cdevents.service',
  ])('%s is taken and changes nothing', async (type) => {
    const { changes, answers } = await taken(structured(wrapped(cdEventOf(type))))
    expect([changes, answers]).toEqual([[], [{ ids: [], skipped: { 'cdevent-not-used': 1 } }]])
  })
})

it('a change in our own form may bring its own id, so that a retry without a time is the same change', async () => {
  const later = { ...postJson(EVENTS, { type: 'deploy', service: 'cart', id: 'run-7' }), receivedMs: NOW_MS + 5_000 }
  const { answers } = await taken(postJson(EVENTS, { type: 'deploy', service: 'cart', id: 'run-7' }), later)
  expect(answers[0]).toEqual(answers[1])
})

describe('what cannot be read is refused, names the field and loses nothing', () => {
  const deep = '['.repeat(10_000) + ']'.repeat(10_000)
  it.each<[what: string, request: DoorRequest, status: number, says: RegExp]>([
    ['no CloudEvent', structured(5), 400, /the event must be an object/],
    ['an array where one event is due', structured([cloudEvent]), 400, /the event must be an object/],
    ['one event where a batch is due', post(EVENTS, BATCH, JSON.stringify(cloudEvent)), 400, /a batch of CloudEvents must be an array/],
    ['no version', structured({ ...cloudEvent, specversion: undefined }), 400, /specversion must be "1.0", not missing/],
    ['a version of its own', structured({ ...cloudEvent, specversion: '0.3' }), 400, /specversion must be "1.0", not "0.3"/],
    ['no id', structured({ ...cloudEvent, id: '' }), 400, /^id must be text and not empty/],
    ['a source that is a number', structured({ ...cloudEvent, source: 5 }), 400, /^source must be text/],
    ['no type', structured({ ...cloudEvent, type: undefined }), 400, /^type must be text/],
    ['a time that is none', structured({ ...cloudEvent, time: 'noon' }), 400, /^time must be RFC 3339/],
    ['a time long ago', structured({ ...cloudEvent, time: '2001-01-01T00:00:00Z' }), 400, /^time is too old/],
    ['an id that is a book', structured({ ...cloudEvent, id: 'x'.repeat(3_000) }), 400, /^id is longer than 2048/],
    ['a subject that is an object', structured({ ...cloudEvent, subject: {} }), 400, /^subject must be text/],
    ['base64 that holds no JSON', structured({ ...cloudEvent, data_base64: 'AAAA' }), 400, /^data is not the JSON/],
    [
      'our own form with a bad address',
      structured({ ...cloudEvent, data: { type: 'flag', service: 'a', url: 'x:y' } }),
      400,
      /^data: url must be/,
    ],
    ['the second of a batch', batch(cloudEvent, { ...cloudEvent, id: 7 }), 400, /^event 1: id must be text/],
    ['10,000 levels', post(EVENTS, STRUCTURED, deep), 400, /the event must be an object/],
    [
      '10,000 levels of data',
      post(EVENTS, STRUCTURED, JSON.stringify(cloudEvent).replace('"data":{', `"deep":${deep},"data":{"type":5,`)),
      202,
      /ids/,
    ],
    ['XML', post(EVENTS, { 'content-type': 'application/cloudevents+xml' }, '<event/>'), 415, /application\/cloudevents\+json/],
    [
      'a plain type without ce- headers',
      post(EVENTS, { 'content-type': 'text/plain' }, '{}'),
      415,
      /application\/json or application\/cloudevents\+json/,
    ],
    ['binary mode without an id', binary({ 'ce-type': 'x.deployed', 'ce-id': '' }, ''), 400, /^id must be text/],
    [
      'binary mode with bytes that are no UTF-8',
      binary({ 'ce-type': 'x.deployed', 'ce-subject': '%C0%A0' }, ''),
      400,
      /ce-subject is not UTF-8/,
    ],
    ['binary mode with quotes that never end', binary({ 'ce-type': '"'.repeat(5_001), 'ce-subject': '"\\' }, ''), 202, /another-type/],
    ['binary mode with broken JSON', binary({ 'ce-type': 'x.deployed', 'ce-subject': 'a' }, '{"a":'), 400, /^data is not the JSON/],
    [
      'a CDEvent without a subject',
      structured({ ...wrapped(cdEvent), data: { context: cdEvent.context } }),
      400,
      /^subject.id must be the name/,
    ],
    ['a CDEvent whose data is a number', structured({ ...wrapped(cdEvent), data: 5 }), 400, /^subject.id must be the name/],
    [
      'a bare CDEvent without an id',
      postJson(EVENTS, { ...cdEvent, context: { ...cdEvent.context, id: null } }),
      400,
      /^context.id must be text/,
    ],
    [
      'a bare CDEvent without a time',
      postJson(EVENTS, [{ ...cdEvent, context: { ...cdEvent.context, timestamp: 5 } }]),
      400,
      /^event 0: context.timestamp/,
    ],
    [
      'an id of our own that is a book',
      postJson(EVENTS, { type: 'flag', service: 'a', id: 'x'.repeat(2_000) }),
      400,
      /^id must not be longer/,
    ],
    [
      'a __proto__',
      post(EVENTS, STRUCTURED, `{"__proto__":{"specversion":"1.0"},"id":"1","source":"/","type":"a"}`),
      400,
      /specversion must be/,
    ],
  ])('%s: %i', async (_what, request, status, says) => {
    const { door, transport } = openDoors()
    const response = await door.accept(request)
    const body = JSON.parse(String(response.body)) as { error?: string }
    expect([response.status, body.error ?? String(response.body)]).toEqual([status, expect.stringMatching(says)])
    if (status !== 202) expect(transport.published).toEqual([])
  })
})
