/**
 * The process that looks at one set, so that nothing of one set is left when the next begins. Told what to do in one message, answers in one.
 */
import { once } from 'node:events'
import type { Task } from '../detect.ts'
import type { SetResult, Thresholds } from './result.ts'
import { isSimulation, simulate, type Simulation } from './simulations.ts'
import { evaluateUnivariate, type UnivariateSet } from './univariate.ts'

export interface SetRequest {
  readonly task: Task
  readonly dir: string
  readonly fit: boolean
  readonly frozen: Partial<Thresholds>
}

type Figures = Readonly<Record<string, unknown>> | undefined

async function look({ task, dir, fit, frozen }: SetRequest): Promise<SetResult | undefined> {
  if (task === 'nab' || task === 'kpi' || task === 'cloud') return evaluateUnivariate(task, { dir, fit, frozen })
  const figures = isSimulation(task) ? await simulate(task) : await EVALUATORS[task](dir)
  return figures && { figures, fitted: {}, tallies: [], pictures: [] }
}

/** Each is loaded where it is used: the others' code is none of its business. */
const EVALUATORS: Readonly<Record<Exclude<Task, UnivariateSet | Simulation>, (dir: string) => Promise<Figures>>> = {
  multivariate: async (dir) => (await import('./multivariate.ts')).evaluate(dir),
  loghub: async (dir) => {
    const result = (await import('./loghub.ts')).evaluate(dir)
    return result && { ...result }
  },
  quiet: async (dir) => (await import('./quiet.ts')).evaluate(dir),
}

process.on('disconnect', () => process.exit(1))
const [request] = (await once(process, 'message')) as [SetRequest]
const result = await look(request)
process.send!({ result }, () => process.exit(0))
