import { describeDb } from './db-suite.ts'
import { openPglite } from '../../src/store/pglite.ts'

describeDb('PGlite', async () => {
  const db = await openPglite()
  return { open: () => Promise.resolve(db), stop: async () => db[Symbol.asyncDispose]() }
})
