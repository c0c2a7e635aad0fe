/**
 * What every Db promises, and every function of the store on top of it: one suite, run against PGlite and against PostgreSQL.
 * `open` gives another handle on the same database; PGlite has one process and one handle, so it gives the same again.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Anomaly, Incident, PlannedNotice } from '../../src/model.ts'
import { FencedError } from '../../src/errors.ts'
import { act, actionsAfter } from '../../src/store/actions.ts'
import { readAnomalies, readAnomaly, saveAnomalies } from '../../src/store/anomalies.ts'
import { readChanges, saveChanges } from '../../src/store/changes.ts'
import { loadCheckpoint, saveCheckpoint } from '../../src/store/checkpoints.ts'
import type { Db } from '../../src/store/db.ts'
import { listIncidents, readIncident, saveIncidents } from '../../src/store/incidents.ts'
import { migrate, readMigrations } from '../../src/store/migrate.ts'
import {
  claimNotices,
  dueByChannel,
  enqueueNotices,
  hasWork,
  listNotices,
  settleDead,
  settleRetry,
  settleSent,
} from '../../src/store/outbox.ts'
import { addTimeline, readTimeline } from '../../src/store/timeline.ts'

export interface DbUnderTest {
  open(): Promise<Db>
  stop(): Promise<void>
}

export const incident: Incident = {
  id: 'inc-1',
  title: 'checkout fails',
  severity: 'critical',
  status: 'open',
  services: ['checkout', 'payments'],
  impact: '40 % of requests to checkout fail',
  causes: [{ service: 'payments', probability: 0.7, evidence: [{ kind: 'onset', points: 2, text: 'first', ref: 'a1' }], refutedBy: 'x' }],
  openedMs: 1_760_000_000_000,
  acknowledgedMs: undefined,
  resolvedMs: undefined,
  updatedMs: 1_760_000_000_000,
}

export const anomaly: Anomaly = {
  kind: 'anomaly',
  id: 'a1',
  detector: 'seasonal',
  signal: 'metrics',
  service: 'payments',
  instance: 'p-0',
  subject: 'latency p95',
  symptom: 'latency',
  direction: 'up',
  startMs: 1_760_000_000_000,
  endMs: undefined,
  atMs: 1_760_000_060_000,
  score: 3.25,
  observed: 1.5,
  expected: 0.1,
  unit: 's',
  volume: 1200,
  impact: true,
  evidence: ['p95 was 1.5 s, expected 0.1 s'],
  points: { timeMs: [1, 2], observed: [0.1, 1.5], expected: [0.1, 0.1], low: [0, 0], high: [0.2, 0.2] },
}

export function notice(kind: PlannedNotice['kind'], more: Partial<PlannedNotice> = {}): PlannedNotice {
  return {
    id: `${more.channel ?? 'pager'}-${kind}`,
    channel: 'pager',
    kind,
    reason: `because ${kind}`,
    atMs: incident.openedMs,
    incident,
    ...more,
  }
}

/** Comparing megabytes element by element takes a test framework seconds. */
function same(found: Uint8Array | undefined, wanted: Uint8Array): boolean {
  return found !== undefined && Buffer.compare(found, wanted) === 0
}

const claim = { leaseMs: 60_000, limit: 10 }

export function describeDb(name: string, start: () => Promise<DbUnderTest>): void {
  describe(`the store on ${name}`, () => {
    let under: DbUnderTest
    let db: Db
    let other: Db

    beforeAll(async () => {
      under = await start()
      db = await under.open()
      other = await under.open()
    })
    afterAll(() => under.stop())
    beforeEach(async () => {
      await db.query(
        'truncate incidents, timeline, anomalies, changes, checkpoints, checkpoint_parts, actions, outbox, threads restart identity',
      )
    })

    describe('driver', () => {
      test('values come back as the contract says, whatever the driver makes of them', async () => {
        const [row] = await db.query<{ big: number; bytes: Uint8Array; doc: unknown; list: string[] }>(
          'select $1::bigint as big, $2::bytea as bytes, $3::jsonb as doc, $4::text[] as list',
          [1_760_000_000_123, new Uint8Array([0, 1, 254, 255]), '{"a":[1,"é"]}', ['x', 'y"{}']],
        )
        expect(row?.big).toBe(1_760_000_000_123)
        expect(row?.bytes).toBeInstanceOf(Uint8Array)
        expect([...(row?.bytes ?? [])]).toEqual([0, 1, 254, 255])
        expect(row?.doc).toEqual({ a: [1, 'é'] })
        expect(row?.list).toEqual(['x', 'y"{}'])
      })

      test('a text without parameters may hold several statements and gives the rows of the last', async () => {
        expect(await db.query('select 1 as a; select 2 as b')).toEqual([{ b: 2 }])
      })

      test('a transaction that throws leaves nothing behind', async () => {
        const work = db.transaction(async (tx) => {
          await saveIncidents(tx, [incident])
          throw new Error('changed my mind')
        })
        await expect(work).rejects.toThrow('changed my mind')
        expect(await readIncident(db, incident.id)).toBeUndefined()
      })

      test('a transaction whose statement failed is undone even when the failure was swallowed', async () => {
        const work = db.transaction(async (tx) => {
          await saveIncidents(tx, [incident])
          await tx.query('select 1 / 0').catch(() => [])
        })
        await expect(work).rejects.toThrow()
        expect(await readIncident(db, incident.id)).toBeUndefined()
        expect(await db.query('select 1 as one')).toEqual([{ one: 1 }])
      })

      test('a transaction that lost against another one runs again', async () => {
        let runs = 0
        const result = await db.transaction(async (tx) => {
          runs++
          if (runs < 3) await tx.query(`do $$ begin raise exception 'try again' using errcode = '40001'; end $$`)
          return tx.query('select 7 as seven')
        })
        expect(result).toEqual([{ seven: 7 }])
        expect(runs).toBe(3)
      })

      test('a notification reaches listeners after the commit, and not without one', async () => {
        const heard: string[] = []
        await using _listening = await db.listen('incidents', (payload) => heard.push(payload))
        await other
          .transaction(async (tx) => {
            await saveIncidents(tx, [{ ...incident, id: 'never' }])
            throw new Error('no')
          })
          .catch(() => undefined)
        await saveIncidents(other, [incident])
        await until(() => heard.includes('inc-1'))
        expect(heard).toEqual(['inc-1'])
      })

      test('a listener that has stopped hears nothing more', async () => {
        const heard: string[] = []
        const stays: string[] = []
        const listening = await db.listen('outbox', (payload) => heard.push(payload))
        await using _stays = await db.listen('outbox', (payload) => stays.push(payload))
        await listening[Symbol.asyncDispose]()
        await enqueueNotices(other, [notice('opened')])
        await until(() => stays.length > 0)
        expect(heard).toEqual([])
      })

      test('migrating a migrated database does nothing; a changed file is refused, and so is a newer database', async () => {
        expect(await migrate(db)).toEqual([])
        await expect(migrate(db, [{ name: '0001-store.sql', sql: '', checksum: 'other' }])).rejects.toThrow('0001-store.sql was changed')
        await expect(migrate(db, [])).rejects.toThrow('newer Tocsin')
      })

      test('two transactions that cannot be put into an order: the loser runs again and sees what the winner did', async () => {
        await saveIncidents(db, [incident])
        let runs = 0
        await db.transaction(async (tx) => {
          await tx.query('set transaction isolation level repeatable read')
          const [row] = await tx.query<{ title: string }>(`select title from incidents where id = 'inc-1'`)
          if (++runs === 1) await outside(`update incidents set title = title || ' again' where id = 'inc-1'`)
          await tx.query(`update incidents set title = $1 where id = 'inc-1'`, [`${row?.title}!`])
        })
        const [found] = await db.query<{ title: string }>('select title from incidents')
        expect(found?.title).toBe(hasOneSession(db) ? `${incident.title}!` : `${incident.title} again!`)
        expect(runs).toBe(hasOneSession(db) ? 1 : 2)

        /** From another session, where there can be one. */
        async function outside(sql: string): Promise<void> {
          if (!hasOneSession(db)) await other.query(sql)
        }
      })
    })

    describe('incidents', () => {
      test('an incident comes back as it was saved', async () => {
        await saveIncidents(db, [incident])
        expect(await readIncident(db, incident.id)).toEqual(incident)
        expect(await readIncident(db, 'nobody')).toBeUndefined()
      })

      test('its status only moves forward, and the first times stay', async () => {
        await saveIncidents(db, [{ ...incident, status: 'acknowledged', acknowledgedMs: 5 }])
        await saveIncidents(db, [{ ...incident, title: 'worse', updatedMs: incident.updatedMs + 9 }])
        expect(await readIncident(db, incident.id)).toMatchObject({ status: 'acknowledged', acknowledgedMs: 5, title: 'worse' })
        await saveIncidents(db, [{ ...incident, status: 'resolved', resolvedMs: 7, acknowledgedMs: 6 }])
        await saveIncidents(db, [{ ...incident, status: 'open' }])
        expect(await readIncident(db, incident.id)).toMatchObject({ status: 'resolved', acknowledgedMs: 5, resolvedMs: 7 })
      })

      test('the list has unresolved ones first, then the newest', async () => {
        const at = (id: string, openedMs: number, status: Incident['status']) => ({ ...incident, id, openedMs, status })
        await saveIncidents(db, [at('old', 1, 'open'), at('new', 9, 'resolved'), at('mid', 5, 'acknowledged'), at('older', 0, 'resolved')])
        const ids = async (status: 'open' | 'resolved' | 'all', limit = 10) => (await listIncidents(db, { status, limit })).map((i) => i.id)
        expect(await ids('all')).toEqual(['mid', 'old', 'new', 'older'])
        expect(await ids('open')).toEqual(['mid', 'old'])
        expect(await ids('resolved')).toEqual(['new', 'older'])
        expect(await ids('all', 1)).toEqual(['mid'])
      })

      test('text no database takes is mended instead of losing the incident', async () => {
        const title = 'nul \u0000, half \ud83d, whole \u{1f600}, slash \\u0000'
        await saveIncidents(db, [{ ...incident, title }])
        expect((await readIncident(db, incident.id))?.title).toBe('nul \ufffd, half \ufffd, whole \u{1f600}, slash \\u0000')
      })
    })

    describe('timeline, anomalies, changes', () => {
      test('entries are in order of time, and the same one twice is one', async () => {
        const entry = { id: 'e2', incidentId: 'inc-1', atMs: 20, kind: 'anomaly', service: 's', text: 'b', ref: '' } as const
        await addTimeline(db, [entry, { ...entry, id: 'e3', atMs: 10 }, { ...entry, id: 'e1', atMs: 20 }])
        await addTimeline(db, [{ ...entry, text: 'another' }])
        expect((await readTimeline(db, 'inc-1')).map((e) => `${e.id} ${e.text}`)).toEqual(['e3 b', 'e1 b', 'e2 b'])
      })

      test('of an anomaly the latest stays, whichever came last', async () => {
        await saveAnomalies(db, [{ incidentId: 'inc-1', anomaly }])
        expect(await readAnomalies(db, 'inc-1')).toEqual([anomaly])
        const ended = { ...anomaly, endMs: anomaly.startMs + 5, atMs: anomaly.atMs + 5 }
        await saveAnomalies(db, [
          { incidentId: 'inc-1', anomaly: ended },
          { incidentId: 'inc-1', anomaly },
        ])
        await saveAnomalies(db, [{ incidentId: 'inc-1', anomaly }])
        expect(await readAnomalies(db, 'inc-1')).toEqual([ended])
      })

      test('a gap in a chart stays a gap', async () => {
        const gappy = { ...anomaly, expected: NaN, points: { ...anomaly.points, observed: [NaN, 1.5] } }
        await saveAnomalies(db, [{ incidentId: 'inc-1', anomaly: gappy }])
        expect(await readAnomalies(db, 'inc-1')).toEqual([gappy])
      })

      test('how a score came about is kept, an unknown rarity stays unknown, and an anomaly from before it was told is read without', async () => {
        const reckoning = {
          rule: 'deviation',
          inputs: [
            ['observed', 1.5],
            ['evil \u202E', 0],
          ],
          oncePerWeeks: NaN,
        } as const
        await saveAnomalies(db, [
          { incidentId: 'inc-1', anomaly: { ...anomaly, reckoning } },
          { incidentId: 'inc-1', anomaly: { ...anomaly, id: 'a2', reckoning: undefined } },
        ])
        expect(await readAnomalies(db, 'inc-1')).toEqual([
          { ...anomaly, reckoning },
          { ...anomaly, id: 'a2' },
        ])
        expect(await readAnomaly(db, 'a1')).toEqual({ incidentId: 'inc-1', anomaly: { ...anomaly, reckoning } })
        expect(await readAnomaly(db, 'a3')).toBeUndefined()
      })

      test('changes are found by time', async () => {
        const change = { kind: 'change', id: 'c1', type: 'deploy', service: 's', version: '2', title: 't', atMs: 10, url: '' } as const
        await saveChanges(db, [change, { ...change, id: 'c2', atMs: 20 }])
        await saveChanges(db, [change])
        expect(await readChanges(db, 10, 20)).toEqual([change])
        expect((await readChanges(db, 0, 100)).map((c) => c.id)).toEqual(['c1', 'c2'])
      })
    })

    describe('checkpoints', () => {
      const bytes = (...values: number[]) => new Uint8Array(values)
      const save = (expected: number | undefined, offset: number, state: Uint8Array) =>
        db.transaction((tx) => saveCheckpoint(tx, 'detect', 0, expected, offset, state))

      test('position and state are kept together, the state aligned for typed arrays', async () => {
        expect(await loadCheckpoint(db, 'detect', 0)).toBeUndefined()
        await save(undefined, 10, bytes(1, 2))
        await save(10, 20, bytes(3, 4, 5))
        const loaded = await loadCheckpoint(db, 'detect', 0)
        expect(loaded).toEqual({ offset: 20, state: bytes(3, 4, 5) })
        expect(loaded?.state.byteOffset).toBe(0)
        expect(loaded?.state.buffer.byteLength).toBe(3)
      })

      test.each([
        ['an offset that is no longer there', 10],
        ['no checkpoint although there is one', undefined],
      ])('an owner who expects %s is fenced', async (_, expected) => {
        await save(undefined, 20, bytes(1))
        await expect(save(expected, 30, bytes(2))).rejects.toThrow(FencedError)
        expect((await loadCheckpoint(db, 'detect', 0))?.state).toEqual(bytes(1))
      })

      test('of two who move it on at the same time one wins and the other leaves no effect', async () => {
        await db.transaction((tx) => saveCheckpoint(tx, 'correlate', 0, undefined, 5, bytes(0)))
        const move = (via: Db, id: string) =>
          via.transaction(async (tx) => {
            await saveIncidents(tx, [{ ...incident, id }])
            await saveCheckpoint(tx, 'correlate', 0, 5, 6, bytes(1))
          })
        const results = await Promise.allSettled([move(db, 'left'), move(other, 'right')])
        expect(results.map((r) => r.status).sort()).toEqual(['fulfilled', 'rejected'])
        expect(results.find((r) => r.status === 'rejected')?.reason).toBeInstanceOf(FencedError)
        expect(await listIncidents(db, { status: 'all', limit: 10 })).toHaveLength(1)
      })

      test('a large state is kept in parts; what has not changed is not written again; a smaller one leaves nothing of it', async () => {
        const mb = 1024 * 1024
        const large = Uint8Array.from({ length: 3 * mb + 7 }, (_, i) => i % 251)
        const writtenBy = async () =>
          (await db.query<{ part: number; by: string }>('select part, xmin::text as by from checkpoint_parts order by part')).map(
            ({ by }) => by,
          )
        await save(undefined, 1, large)
        expect(same((await loadCheckpoint(db, 'detect', 0))?.state, large)).toBe(true)
        const before = await writtenBy()
        expect(before).toHaveLength(3)
        large[2 * mb + 5] = 255
        await save(1, 2, large)
        expect(same((await loadCheckpoint(db, 'detect', 0))?.state, large)).toBe(true)
        const after = await writtenBy()
        expect(after.map((by, i) => by === before[i])).toEqual([true, false, true])
        await save(2, 3, large.subarray(0, 2 * mb))
        expect(same((await loadCheckpoint(db, 'detect', 0))?.state, large.subarray(0, 2 * mb))).toBe(true)
        expect(await writtenBy()).toHaveLength(1)
        await save(3, 4, bytes(9))
        expect(await loadCheckpoint(db, 'detect', 0)).toEqual({ offset: 4, state: bytes(9) })
      })

      test('a reader sees one checkpoint, never the parts of two', async () => {
        const mb = 1024 * 1024
        const stateOf = (round: number) => new Uint8Array(2 * mb + 1).fill(round)
        await save(undefined, 0, stateOf(0))
        const torn: number[] = []
        const saving = (async () => {
          for (let round = 1; round <= 8; round++) await save(round - 1, round, stateOf(round))
        })()
        for (let read = 0; read < 8; read++) {
          const loaded = await loadCheckpoint(other, 'detect', 0)
          if (loaded?.state[0] !== loaded?.offset || loaded?.state.at(-1) !== loaded?.offset) torn.push(loaded?.offset ?? -1)
        }
        await saving
        expect(torn).toEqual([])
      })

      test('what a transaction that was rolled back wrote of a large state is not there', async () => {
        const state = new Uint8Array(2 * 1024 * 1024).fill(1)
        await save(undefined, 1, state)
        const rolledBack = db.transaction(async (tx) => {
          await saveCheckpoint(tx, 'detect', 0, 1, 2, new Uint8Array(2 * 1024 * 1024).fill(2))
          throw new Error('changed my mind')
        })
        await expect(rolledBack).rejects.toThrow('changed my mind')
        const loaded = await loadCheckpoint(db, 'detect', 0)
        expect([loaded?.offset, same(loaded?.state, state)]).toEqual([1, true])
      })
    })

    describe('actions', () => {
      const acknowledge = { incidentId: 'inc-1', kind: 'acknowledge', by: 'ada', atMs: 100 } as const

      test('acknowledging twice is acknowledging once', async () => {
        await saveIncidents(db, [incident])
        const first = await db.transaction((tx) => act(tx, acknowledge))
        expect(first?.before.status).toBe('open')
        expect(first?.after).toMatchObject({ status: 'acknowledged', acknowledgedMs: 100 })
        const second = await db.transaction((tx) => act(tx, { ...acknowledge, by: 'bob', atMs: 200 }))
        expect(second?.before).toBe(second?.after)
        expect(await actionsAfter(db, 0, 10)).toEqual([{ seq: 1, ...acknowledge }])
        expect((await readTimeline(db, 'inc-1')).map((e) => [e.kind, e.text])).toEqual([['person', 'ada acknowledged the incident.']])
        expect(await readIncident(db, 'inc-1')).toMatchObject({ status: 'acknowledged', acknowledgedMs: 100 })
      })

      test('a resolved incident is not acknowledged any more, and an unknown one is not invented', async () => {
        await saveIncidents(db, [incident])
        await db.transaction((tx) => act(tx, { ...acknowledge, kind: 'resolve' }))
        const late = await db.transaction((tx) => act(tx, acknowledge))
        expect(late?.after.status).toBe('resolved')
        expect(await db.transaction((tx) => act(tx, { ...acknowledge, incidentId: 'nobody' }))).toBeUndefined()
        expect((await actionsAfter(db, 0, 10)).map((a) => a.kind)).toEqual(['resolve'])
      })

      test('a reader that follows along skips none, however the transactions end', async () => {
        const ids = Array.from({ length: 20 }, (_, i) => `inc-${String(i).padStart(2, '0')}`)
        await saveIncidents(
          db,
          ids.map((id) => ({ ...incident, id })),
        )
        const seen: string[] = []
        let last = 0
        let writing = true
        const follow = (async () => {
          for (let more = true; more;) {
            more = writing
            for (const action of await actionsAfter(db, last, 3)) {
              seen.push(action.incidentId)
              last = action.seq
              more = true
            }
          }
        })()
        await Promise.all(
          ids.map((incidentId, i) =>
            (i % 2 ? db : other).transaction(async (tx) => {
              await act(tx, { ...acknowledge, incidentId })
              // The earlier ones commit later.
              if (db.kind === 'postgres') await sleep(i % 4 === 0 ? 20 : 0)
            }),
          ),
        )
        writing = false
        await follow
        expect(seen.sort()).toEqual(ids)
      })
    })

    describe('outbox', () => {
      test('two owners who claim at the same time never get the same notice', async () => {
        await enqueueNotices(
          db,
          Array.from({ length: 30 }, (_, i) => notice('opened', { id: `n${i}`, incident: { ...incident, id: `inc-${i}` } })),
        )
        const claims = await Promise.all(
          Array.from({ length: 12 }, (_, i) => claimNotices(i % 2 ? db : other, { ...claim, owner: i % 2 ? 'left' : 'right', limit: 4 })),
        )
        const ids = claims.flat().map((n) => n.id)
        expect(new Set(ids).size).toBe(ids.length)
        const rest = await claimNotices(db, { ...claim, owner: 'left', limit: 100 })
        expect(ids.length + rest.length).toBe(30)
      })

      test('the notice comes back as it was planned, with the attempts before this one', async () => {
        await enqueueNotices(db, [notice('opened')])
        await enqueueNotices(db, [notice('opened', { reason: 'planned again' })])
        expect(await claimNotices(db, { ...claim, owner: 'me' })).toEqual([{ ...notice('opened'), externalId: '', attempts: 0 }])
        expect(await claimNotices(db, { ...claim, owner: 'me' })).toEqual([])
      })

      test('opened → claimed → owner dies → lease runs out → another sends it; the dead owner settles nothing', async () => {
        await enqueueNotices(db, [notice('opened')])
        await claimNotices(db, { ...claim, owner: 'dead', leaseMs: 1 })
        await sleep(10)
        const [again] = await claimNotices(other, { ...claim, owner: 'heir' })
        expect(again).toMatchObject({ id: 'pager-opened', attempts: 1 })
        expect(await settleSent(db, { owner: 'dead', id: 'pager-opened' })).toBe(false)
        expect(await settleRetry(db, { owner: 'dead', id: 'pager-opened', error: 'x' })).toBe(false)
        expect(await settleDead(db, { owner: 'dead', id: 'pager-opened', error: 'x' })).toBe(false)
        expect(await settleSent(db, { owner: 'heir', id: 'pager-opened', externalId: 'C1:17' })).toBe(true)
        expect(await listNotices(db)).toMatchObject([{ status: 'sent', attempts: 2, externalId: 'C1:17', lastError: '' }])
      })

      test('resolved never overtakes opened, not even while opened waits for its next try; other channels do not wait', async () => {
        await enqueueNotices(db, [notice('opened'), notice('resolved'), notice('opened', { channel: 'chat' })])
        const first = await claimNotices(db, { ...claim, owner: 'me' })
        expect(first.map((n) => n.id)).toEqual(['pager-opened', 'chat-opened'])
        await settleRetry(db, { owner: 'me', id: 'pager-opened', error: 'HTTP 503' })
        expect(await claimNotices(db, { ...claim, owner: 'me' })).toEqual([])
        await db.query(`update outbox set due_at = now()`)
        expect((await claimNotices(db, { ...claim, owner: 'me' })).map((n) => n.id)).toEqual(['pager-opened'])
        await settleSent(db, { owner: 'me', id: 'pager-opened', externalId: 'K-1' })
        const [resolved] = await claimNotices(db, { ...claim, owner: 'me' })
        expect(resolved).toMatchObject({ id: 'pager-resolved', externalId: 'K-1' })
        await settleSent(db, { owner: 'me', id: 'pager-resolved' })
        expect(await listNotices(db, 'inc-1')).toMatchObject([{ externalId: 'K-1' }, { externalId: 'K-1' }, { externalId: '' }])
      })

      test('a dead notice does not hold up the later ones', async () => {
        await enqueueNotices(db, [notice('opened'), notice('resolved')])
        await claimNotices(db, { ...claim, owner: 'me' })
        await settleDead(db, { owner: 'me', id: 'pager-opened', error: 'the channel was deleted' })
        expect((await claimNotices(db, { ...claim, owner: 'me' })).map((n) => n.id)).toEqual(['pager-resolved'])
        expect(await listNotices(db)).toMatchObject([{ status: 'dead', lastError: 'the channel was deleted' }, { status: 'due' }])
      })

      test('what is planned after resolved is kept but not sent', async () => {
        await enqueueNotices(db, [notice('opened'), notice('resolved'), notice('opened', { channel: 'chat' })])
        await enqueueNotices(db, [notice('escalated'), notice('escalated', { channel: 'chat' })])
        expect((await listNotices(db)).map((n) => `${n.id} ${n.status}`)).toEqual([
          'pager-opened due',
          'pager-resolved due',
          'chat-opened due',
          'pager-escalated dead',
          'chat-escalated due',
        ])
      })

      test('pauses double up to five minutes; a receiver that says when is believed', async () => {
        await enqueueNotices(db, [notice('opened')])
        const pauses: number[] = []
        for (let attempt = 1; attempt <= 11; attempt++) {
          await claimNotices(db, { ...claim, owner: 'me' })
          await settleRetry(db, { owner: 'me', id: 'pager-opened', error: 'no' })
          pauses.push(Math.round((await duePauseMs(db)) / 1000))
          await db.query(`update outbox set due_at = now()`)
        }
        expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
        await claimNotices(db, { ...claim, owner: 'me' })
        await settleRetry(db, { owner: 'me', id: 'pager-opened', error: 'no', retryAfterMs: 90_000 })
        expect(Math.round((await duePauseMs(db)) / 1000)).toBe(90)
      })

      test('one channel can be claimed alone', async () => {
        await enqueueNotices(db, [notice('opened'), notice('opened', { channel: 'chat' })])
        expect((await claimNotices(db, { ...claim, owner: 'me', channel: 'chat' })).map((n) => n.id)).toEqual(['chat-opened'])
      })

      test('who was not told of the opening is not told how it went on', async () => {
        await enqueueNotices(db, [notice('opened')])
        await enqueueNotices(db, [notice('updated'), notice('updated', { channel: 'chat' })])
        await enqueueNotices(db, [notice('opened', { channel: 'late' }), notice('acknowledged', { channel: 'late' })])
        expect((await listNotices(db)).map((n) => n.id)).toEqual(['pager-opened', 'pager-updated', 'late-opened', 'late-acknowledged'])
      })

      test('work is what can be sent now or is being sent by its owner, not what waits for its next try or behind it', async () => {
        const work = (owner: string) => hasWork(db, { owner, channels: ['pager'] })
        expect(await work('me')).toBe(false)
        await enqueueNotices(db, [notice('opened', { channel: 'chat' })])
        expect(await work('me')).toBe(false)
        await enqueueNotices(db, [notice('opened'), notice('resolved')])
        expect(await work('me')).toBe(true)
        await claimNotices(db, { ...claim, owner: 'me', channel: 'pager' })
        expect(await work('me')).toBe(true)
        await settleRetry(db, { owner: 'me', id: 'pager-opened', error: 'no', retryAfterMs: 60_000 })
        expect(await work('me')).toBe(false)
        expect(await dueByChannel(db)).toEqual([
          { channel: 'chat', due: 1 },
          { channel: 'pager', due: 2 },
        ])
      })
    })

    // The last of all: it makes the tables anew.
    describe('upgrades', () => {
      test.each(released())('a database that %s has filled is brought forward and keeps everything', async (name) => {
        const known = await readMigrations()
        const then = known.slice(0, known.findIndex((m) => m.name === name) + 1)
        expect(then.at(-1)?.name).toBe(name)
        await db.query('drop schema public cascade; create schema public')
        await migrate(db, then)
        await db.query(await readFile(new URL(name, FILLED), 'utf8'))

        const applied = await Promise.all([migrate(db), migrate(other)])
        expect(applied.flat()).toEqual(known.slice(then.length).map((m) => m.name))
        const [found] = await listIncidents(db, { status: 'all', limit: 9 })
        expect(found).toMatchObject({ id: 'old-1', title: 'checkout fails', updatedMs: 1_760_000_060_000 })
        expect(await readTimeline(db, 'old-1')).toHaveLength(1)
        expect(await loadCheckpoint(db, 'detect', 3)).toEqual({ offset: 41, state: new Uint8Array([1, 2, 255]) })
        const large = await loadCheckpoint(db, 'correlate', 0)
        expect([large?.offset, large?.state.length]).toEqual([7, 2_400_000])
        await db.transaction((tx) => saveCheckpoint(tx, 'correlate', 0, 7, 8, large!.state))
        expect(same((await loadCheckpoint(db, 'correlate', 0))?.state, large!.state)).toBe(true)
        expect((await actionsAfter(db, 0, 9)).map(({ kind }) => kind)).toEqual(['acknowledge'])
        expect((await claimNotices(db, { owner: 'me', ...claim })).map(({ id }) => id)).toEqual(['n-1'])
      })
    })
  })
}

const FILLED = new URL('../fixtures/store/', import.meta.url)

/** The newest migration of each release, by the data it left: a file of fixtures/store bears the name of the migration. */
function released(): string[] {
  return readdirSync(FILLED).sort()
}

/** PGlite has one session: nobody can come between the statements of a transaction. */
function hasOneSession(db: Db): boolean {
  return db.kind === 'pglite'
}

/** How long after this moment of the database's clock the only notice is due. */
async function duePauseMs(db: Db): Promise<number> {
  const [row] = await db.query<{ ms: number }>('select extract(epoch from due_at - now())::float8 * 1000 as ms from outbox')
  return row?.ms ?? NaN
}

export async function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const end = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > end) throw new Error('waited in vain')
    await sleep(5)
  }
}
