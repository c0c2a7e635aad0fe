/** Times in the reader's time zone, and ages that grow, by the server's clock: a phone's may be wrong. */

const aheadMs = Date.now() - Number(document.body.dataset['now'])
const clockTime = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
})
const inFull = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' })
const inFullUtc = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long', timeZone: 'UTC' })

export function startTimes(): void {
  setInterval(() => tellTimes(document.body), 10_000)
}

export function tellTimes(root: ParentNode): void {
  const nowMs = Date.now() - aheadMs
  for (const element of root.querySelectorAll<HTMLElement>('time[data-at]')) {
    const atMs = Number(element.dataset['at'])
    if (!(Math.abs(atMs) <= 8.64e15)) continue
    const near = Number(element.dataset['near'] ?? nowMs)
    write(element, sameDay(atMs, near) ? clockTime.format(atMs) : dayAndTime.format(atMs))
    element.title = `${inFull.format(atMs)} · ${inFullUtc.format(atMs)}`
  }
  for (const element of root.querySelectorAll<HTMLElement>('[data-since]'))
    write(element, duration(nowMs - Number(element.dataset['since'])))
}

/** Only when it is different: what has not changed must not be read out again or lose its selection. */
function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

export function sameDay(a: number, b: number): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString()
}

/** Says the same as the server's. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 100) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 100) return `${minutes} min`
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h${minutes % 60 === 0 ? '' : ` ${minutes % 60} min`}`
  const hours = Math.round(minutes / 60)
  return `${Math.floor(hours / 24)} d${hours % 24 === 0 ? '' : ` ${hours % 24} h`}`
}
