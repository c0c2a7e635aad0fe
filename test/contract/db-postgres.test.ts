/** The store on a real server, and what only a real server can do: lose connections, deadlock, serve several processes. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requireOrSkip } from '../support/services.ts'
import { startPostgres } from '../support/postgres.ts'
import type { RunningPostgres } from '../support/postgres.ts'
import { describeDb, incident, until } from './db-suite.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { listIncidents, saveIncidents } from '../../src/store/incidents.ts'
import type { Db } from '../../src/store/db.ts'

requireOrSkip('postgres')('PostgreSQL', () => {
  let server: RunningPostgres
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server.stop())

  describeDb('PostgreSQL', async () => {
    const url = await server.newDatabase()
    const opened: Db[] = []
    return {
      async open() {
        const db = await openPostgres({ url, poolSize: 5 })
        opened.push(db)
        return db
      },
      async stop() {
        for (const db of opened) await db[Symbol.asyncDispose]()
      },
    }
  })

  test('six processes that start at once migrate one database once', async () => {
    const url = await server.newDatabase()
    const dbs = await Promise.all(Array.from({ length: 6 }, () => openPostgres({ url })))
    const [count] = (await dbs[0]?.query<{ n: number }>('select count(*) as n from migrations')) ?? []
    expect(count?.n).toBeGreaterThan(0)
    for (const db of dbs) await db[Symbol.asyncDispose]()
  })

  test.each([
    ['found out by the next statement', 0],
    ['noticed before it', 300],
  ])('a connection lost inside a transaction, %s, fails that transaction and nothing else', async (_, pauseMs) => {
    const url = await server.newDatabase()
    await using db = await openPostgres({ url, poolSize: 2 })
    const work = db.transaction(async (tx) => {
      await saveIncidents(tx, [incident])
      const [me] = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
      await db.query('select pg_terminate_backend($1)', [me?.pid])
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      await tx.query('select 1')
    })
    await expect(work).rejects.toThrow(/terminat/)
    expect(await listIncidents(db, { status: 'all', limit: 9 })).toEqual([])
    await db.transaction((tx) => saveIncidents(tx, [incident]))
    expect(await listIncidents(db, { status: 'all', limit: 9 })).toHaveLength(1)
  })

  test('a listener whose connection is cut listens again and is told that it may have missed something', async () => {
    const url = await server.newDatabase()
    await using db = await openPostgres({ url })
    const heard: string[] = []
    await using _listening = await db.listen('incidents', (payload) => heard.push(payload))
    for (const round of [1, 2, 3]) {
      await db.query(`select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%' and pid <> pg_backend_pid()`)
      await until(() => heard.filter((payload) => payload === '').length === round)
      await saveIncidents(db, [{ ...incident, id: `after-${round}` }])
      await until(() => heard.includes(`after-${round}`))
    }
  })

  test('a connection that breaks while it begins to listen is not the last', async () => {
    const url = new URL(await server.newDatabase())
    let cuts = 1
    await using proxy = await proxyTo(Number(url.port), (sent) => sent.includes('listen "') && cuts-- > 0)
    url.port = String(proxy.port)
    await using db = await openPostgres({ url: url.href })
    const heard: string[] = []
    await expect(db.listen('incidents', (payload) => heard.push(payload))).rejects.toThrow()
    await using _listening = await db.listen('incidents', (payload) => heard.push(payload))
    await saveIncidents(db, [incident])
    await until(() => heard.includes(incident.id))
  })

  test('all connections cut at once, as by a restart: the next work gets new ones', async () => {
    const url = await server.newDatabase()
    await using db = await openPostgres({ url, poolSize: 3 })
    await Promise.all([1, 2, 3].map(() => db.query('select pg_sleep(0.01)')))
    await using admin = await openPostgres({ url, poolSize: 2 })
    await admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    )
    // The first one may still be handed a connection that is just dying.
    await expect.poll(() => db.query('select 1 as one').catch(() => [])).toEqual([{ one: 1 }])
  })

  test('the server dies and comes back: what was committed is there, listeners are told, work goes on', async () => {
    await using own = await startPostgres({ durable: true })
    await using db = await openPostgres({ url: own.url, poolSize: 3 })
    const heard: string[] = []
    await using _listening = await db.listen('incidents', (payload) => heard.push(payload))
    await saveIncidents(db, [incident])
    await own.kill()
    await expect(db.query('select 1')).rejects.toThrow()
    await own.start()
    await until(() => heard.includes(''), 30_000)
    await expect.poll(() => listIncidents(db, { status: 'all', limit: 9 }).catch(() => []), { timeout: 30_000 }).toEqual([incident])
    await saveIncidents(db, [{ ...incident, id: 'afterwards' }])
    await until(() => heard.includes('afterwards'))
  }, 90_000)

  test('of two transactions that deadlock both come through', async () => {
    const url = await server.newDatabase()
    await using db = await openPostgres({ url })
    await saveIncidents(
      db,
      ['a', 'b'].map((id) => ({ ...incident, id })),
    )
    let runs = 0
    const bothHaveOne = meeting(2)
    const cross = (first: string, second: string) =>
      db.transaction(async (tx) => {
        runs++
        await tx.query(`update incidents set title = title || 'x' where id = $1`, [first])
        await bothHaveOne()
        await tx.query(`update incidents set title = title || 'x' where id = $1`, [second])
      })
    await Promise.all([cross('a', 'b'), cross('b', 'a')])
    expect(runs).toBe(3)
    expect(await db.query('select distinct title from incidents')).toEqual([{ title: `${incident.title}xx` }])
  })

  test('a statement that takes too long is cancelled', async () => {
    const url = await server.newDatabase()
    await using db = await openPostgres({ url, statementTimeoutMs: 200 })
    await expect(db.query('select pg_sleep(5)')).rejects.toThrow('statement timeout')
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }])
  })

  test('more work than connections waits its turn; what waits too long says so, and the rest is done', async () => {
    const url = await server.newDatabase()
    await using db = await openPostgres({ url, poolSize: 2, connectTimeoutMs: 400 })
    const short = await Promise.all(Array.from({ length: 40 }, (_, i) => db.query<{ i: number }>('select $1::int as i', [i])))
    expect(short.flat().map(({ i }) => i)).toEqual(Array.from({ length: 40 }, (_, i) => i))

    let letGo = () => {}
    const held = new Promise<void>((resolve) => (letGo = resolve))
    const holders = [1, 2].map(() => db.transaction(async (tx) => tx.query('select 1').then(() => held)))
    await expect(db.query('select 1')).rejects.toThrow('timeout exceeded when trying to connect')
    letGo()
    await Promise.all(holders)
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }])
  })

  test('a server that has no connection to spare is said so; when it has one again, work goes on', async () => {
    const url = new URL(await server.newDatabase())
    await using admin = await openPostgres({ url: url.href })
    await admin.query(
      `create role few login connection limit 1; grant all on schema public to few; grant all on all tables in schema public to few`,
    )
    url.username = 'few'
    await using db = await openPostgres({ url: url.href, poolSize: 3 })
    const results = await Promise.allSettled([1, 2, 3].map(() => db.query('select pg_sleep(0.2)')))
    const refused = results.filter((result) => result.status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    for (const { reason } of refused) expect(String(reason)).toContain('too many connections for role')
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }])
  })

  test('a server that is not there is said so, without the password', async () => {
    const open = openPostgres({ url: 'postgres://tocsin:hunter2@127.0.0.1:1/tocsin' })
    const error = await open.then(
      () => undefined,
      (e: unknown) => e,
    )
    expect(String(error)).toContain('ECONNREFUSED')
    expect(JSON.stringify(error) + String(error)).not.toContain('hunter2')
  })
})

/** Passes everything on; a connection that sends what `isCut` asks for is gone at once. */
async function proxyTo(target: number, isCut: (sent: string) => boolean): Promise<AsyncDisposable & { readonly port: number }> {
  const proxy = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    near.on('data', (chunk) => void (isCut(chunk.toString('latin1')) ? near.resetAndDestroy() : far.write(chunk)))
    far.on('data', (chunk) => void near.write(chunk))
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (proxy.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => void proxy.close(),
  }
}

/** Holds everybody up until `size` have arrived; later ones pass. */
function meeting(size: number): () => Promise<void> {
  let arrived = 0
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return () => {
    if (++arrived >= size) open()
    return opened
  }
}
