/** What scripts add to the pages: local times, charts, buttons without reloading, live updates. */
import { watchButtons } from './buttons.ts'
import { drawCharts } from './charts.ts'
import { watchLinks } from './folds.ts'
import { startLive } from './live.ts'
import { morph } from './morph.ts'
import { startTimes, tellTimes } from './times.ts'

/** Fetches the page again and takes over what is different; resolves with false when the server did not answer as expected. */
async function refresh(): Promise<boolean> {
  const response = await fetch(location.pathname, { headers: { accept: 'text/html' }, cache: 'no-store' })
  const fresh = new DOMParser().parseFromString(await response.text(), 'text/html')
  const main = document.querySelector('main')
  const next = fresh.querySelector('main')
  if (!response.ok || !main || !next) return false
  morph(main, next)
  document.title = fresh.title
  tellTimes(main)
  await drawCharts(main)
  return true
}

const main = document.querySelector('main')
if (main) {
  startTimes()
  tellTimes(main)
  watchButtons(refresh)
  watchLinks()
  if (main.dataset['page'] === 'list' || main.dataset['page'] === 'incident') startLive(main.dataset['id'], refresh)
  await drawCharts(main)
}
