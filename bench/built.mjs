// Preloaded into the processes that measure: what the benchmarks import from src comes from dist there. What ships is measured, not
// sources run through tsx, which names every closure at run time and makes hot paths slower than they are.
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

const bench = new URL('.', import.meta.url).href
const src = new URL('../src/', import.meta.url).href
const dist = new URL('../dist/', import.meta.url).href

if (isMainThread) register(import.meta.url)

export function resolve(specifier, context, next) {
  if (specifier.startsWith('../src/') && context.parentURL?.startsWith(bench)) {
    const { href } = new URL(specifier, context.parentURL)
    return next(href.replace(src, dist).replace(/\.ts$/, '.js'), context)
  }
  return next(specifier, context)
}
