/** The frame of every page, and the parts that several pages use. Times are written in UTC; the scripts make them local. */
import type { Incident } from '../model.ts'
import { html } from './html.ts'
import type { Content, Html } from './html.ts'
import { duration, isoTime } from '../wording.ts'
import { utcTime } from './wording.ts'

export interface Frame {
  /** Where assets are: `/assets/<version>`. */
  readonly assets: string
  readonly scripted: boolean
  /** What the page is as of; scripts correct for a wrong clock with it. */
  readonly nowMs: number
}

export function page(frame: Frame, title: string, main: Content): string {
  const { assets, scripted, nowMs } = frame
  const markup = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="theme-color" content="#f5f6f8" media="(prefers-color-scheme: light)" />
        <meta name="theme-color" content="#0f1216" media="(prefers-color-scheme: dark)" />
        <title>${title}</title>
        <link rel="icon" type="image/svg+xml" href="${assets}/bell.svg" />
        <link rel="stylesheet" href="${assets}/uPlot.min.css" />
        <link rel="stylesheet" href="${assets}/style.css" />
        ${scripted && html`<script type="module" src="${assets}/page.js"></script>`}
      </head>
      <body data-now="${nowMs}" data-assets="${assets}">
        <a class="skip" href="#main">Skip to content</a>
        <header class="bar">
          <a class="home" href="/"><img src="${assets}/bell.svg" alt="" width="22" height="22" />Tocsin</a>
          <span class="live" id="live" role="status" data-state="off">${scripted ? 'Connecting…' : 'Not live: reload to refresh'}</span>
        </header>
        ${main}
        <footer class="foot">
          ${!scripted && html`<p>The scripts of these pages have not been built, so there are no charts and no live updates: run <code>npm run build</code>.</p>`}
        </footer>
      </body>
    </html> `
  return markup.toString()
}

/** A point in time. `near`: the day is only shown when it is another one than that of this time. */
export function time(atMs: number, near?: number): Html {
  return html`<time datetime="${isoTime(atMs)}" data-at="${atMs}" ${near !== undefined && html` data-near="${near}"`}
    >${utcTime(atMs)}</time
  >`
}

/** How long ago; scripts let it grow. */
export function age(sinceMs: number, nowMs: number): Html {
  return html`<span data-since="${sinceMs}">${duration(nowMs - sinceMs)}</span>`
}

export function severityMark({ severity, status }: Incident): Html {
  return html`<span class="mark" data-severity="${severity}" data-over="${status === 'resolved' ? 'yes' : 'no'}">${severity}</span>`
}

const statusWords = { open: 'Open', acknowledged: 'Acknowledged', resolved: 'Resolved' } as const

export function statusMark({ status }: Incident): Html {
  return html`<span class="status" data-status="${status}">${statusWords[status]}</span>`
}

/** A bar that is `share` of its width long. SVG, because the content security policy allows no styles in attributes. */
export function bar(share: number, className: string): Html {
  const width = Math.round(1000 * Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0))) / 10
  return html`<svg class="meter ${className}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
    <rect class="track" width="100" height="8" />
    <rect class="fill" width="${width}" height="8" />
  </svg>`
}
