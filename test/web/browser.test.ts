/** The incident page in a real browser: seen, pressed, updated, on a desk and on a phone. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { act } from '../../src/store/actions.ts'
import { saveIncidents } from '../../src/store/incidents.ts'
import { addTimeline } from '../../src/store/timeline.ts'
import { temporaryFolder } from '../support/processes.ts'
import type { TemporaryFolder } from '../support/processes.ts'
import { seedIncident } from '../support/seed-incident.ts'
import type { SeededIncident } from '../support/seed-incident.ts'
import { requireOrSkip, which } from '../support/services.ts'
import { incidentNamed, openedMs, webFixture } from './web-fixture.ts'
import type { WebFixture } from './web-fixture.ts'

const run = requireOrSkip('chromium')
const root = fileURLToPath(new URL('../../', import.meta.url))

run('in a browser', () => {
  let scripts: TemporaryFolder
  let browser: Browser
  let web: WebFixture
  let url: string
  let seeded: SeededIncident
  let page: Page
  let complaints: string[]

  beforeAll(async () => {
    // The sources as they are now, not the last build.
    scripts = await temporaryFolder('scripts')
    await promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--noCheck', '--outDir', scripts.path], {
      cwd: root,
    })
    browser = await chromium.launch({
      executablePath: which('chromium', 'chromium-browser', 'google-chrome')!,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    })
  })
  afterAll(async () => {
    await browser?.close()
    await scripts?.[Symbol.asyncDispose]()
  })

  beforeEach(async () => {
    web = await webFixture({ scripts: pathToFileURL(`${scripts.path}/web/client/`), stream: { bunchMs: 20 } })
    seeded = await seedIncident(web.db, openedMs)
    url = await web.app.listen({ port: 0, host: '127.0.0.1' })
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
    complaints = []
    page.on('console', (message) => void (['error', 'warning'].includes(message.type()) && complaints.push(message.text())))
    page.on('pageerror', (error) => void complaints.push(String(error)))
  })
  afterEach(async () => {
    await page.close()
    await web[Symbol.asyncDispose]()
  })

  const open = async () => {
    await page.goto(`${url}/incidents/${seeded.incident.id}`)
    await page.getByText('Live', { exact: true }).waitFor()
    await page.locator('.chart canvas').nth(2).waitFor()
  }

  /** How many colours there are on the canvas: a blank one has a single one. */
  const coloursOf = (index: number) =>
    page
      .locator('.chart canvas')
      .nth(index)
      .evaluate((canvas: HTMLCanvasElement) => {
        const pixels = new Uint32Array(canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height).data.buffer)
        return new Set(pixels).size
      })

  test('the cause stands before the charts, the charts are drawn, nothing complains', async () => {
    await open()
    await expect
      .poll(() => page.locator('#cause').innerText())
      .toMatch(/payments\s+78 %[^]*92 % of the excess failures[^]*What would rule it out/)
    expect(await page.locator('.chart canvas').count()).toBe(3)
    for (const index of [0, 1, 2]) await expect.poll(() => coloursOf(index)).toBeGreaterThan(5)
    expect(await page.locator('#cause').evaluate((cause) => cause.compareDocumentPosition(document.querySelector('#signals')!))).toBe(4)
    expect(complaints).toEqual([])
  })

  test('a folded chart is drawn when it is unfolded, also by a link from the timeline', async () => {
    await open()
    await page.locator('details.signal:not([open]) > summary').first().click()
    await expect.poll(() => page.locator('.chart canvas').count()).toBe(4)
    await page.locator(`#timeline a[href="#a-${seeded.anomalies[5]!.id}"]`).first().click()
    await expect.poll(() => page.locator('.chart canvas').count()).toBe(5)
    expect(complaints).toEqual([])
  })

  test('pressing Acknowledge changes the state without leaving the page; what another person does then appears by itself', async () => {
    await open()
    await page.evaluate(() => Object.assign(window, { sameDocument: true }))
    await page.getByLabel('Your name').fill('Ann')
    await page.locator('details.signal:not([open]) > summary').first().click()
    await page.getByRole('button', { name: 'Acknowledge' }).click()
    await page.locator('.status[data-status="acknowledged"]').waitFor()
    await page.getByText('Ann acknowledged the incident.').first().waitFor()
    expect(await page.getByRole('button', { name: 'Acknowledge' }).count()).toBe(0)

    await web.db.transaction((tx) => act(tx, { incidentId: seeded.incident.id, kind: 'resolve', by: 'Bob', atMs: openedMs + 400_000 }))
    await page.locator('.status[data-status="resolved"]').waitFor()
    await page.getByText('Bob resolved the incident.').first().waitFor()
    expect(await page.evaluate(() => 'sameDocument' in window)).toBe(true)
    expect(await page.locator('details.signal[open]').count()).toBe(4)
    expect(await page.locator('.chart canvas').count()).toBe(4)
    expect(complaints).toEqual([])
  })

  test('Resolve wants a second press', async () => {
    await open()
    await page.getByRole('button', { name: 'Resolve' }).click()
    const armed = page.getByRole('button', { name: 'Press again to resolve' })
    await armed.waitFor()
    expect(await page.locator('.status').getAttribute('data-status')).toBe('open')
    await armed.click()
    await page.locator('.status[data-status="resolved"]').waitFor()
    expect(await page.locator('#actions').count()).toBe(0)
  })

  test('an update leaves the reader where he is: what he scrolled to, unfolded and typed', async () => {
    await open()
    await page.locator('#suspect-2 > summary').click()
    await page.getByLabel('Your name').fill('Ann')
    await page.locator('#timeline li').last().scrollIntoViewIfNeeded()
    const before = await page.evaluate(() => scrollY)
    await addTimeline(web.db, [
      {
        id: 'late',
        incidentId: seeded.incident.id,
        atMs: openedMs + 900_000,
        kind: 'anomaly',
        service: 'gateway',
        text: 'A new thing happened',
        ref: '',
      },
    ])
    await page.getByText('A new thing happened').waitFor()
    expect(before).toBeGreaterThan(0)
    expect(await page.evaluate(() => scrollY)).toBe(before)
    expect(await page.locator('#suspect-2').evaluate((details: HTMLDetailsElement) => details.open)).toBe(true)
    expect(await page.getByLabel('Your name').inputValue()).toBe('Ann')
  })

  test('the list shows a new incident by itself, and its title says how many are open', async () => {
    await page.goto(url)
    await page.getByText('Live', { exact: true }).waitFor()
    await saveIncidents(web.db, [incidentNamed('another', { title: 'search: p95 latency 4 s' })])
    await page.getByText('search: p95 latency 4 s').waitFor()
    expect(await page.title()).toBe('2 open – Tocsin')
    expect(await page.locator('.row').count()).toBe(2)
    expect(complaints).toEqual([])
  })

  test('a server that has gone is told, and the page catches up when it is back', async () => {
    await open()
    const port = Number(new URL(url).port)
    await web.app.close()
    await page.getByText('No connection').waitFor()
    const next = await webFixture({ db: web.db, scripts: pathToFileURL(`${scripts.path}/web/client/`) })
    await next.db.transaction((tx) => act(tx, { incidentId: seeded.incident.id, kind: 'acknowledge', by: 'Bob', atMs: openedMs + 400_000 }))
    await next.app.listen({ port, host: '127.0.0.1' })
    await page.getByText('Bob acknowledged the incident.').first().waitFor({ timeout: 15_000 })
    await page.getByText('Live', { exact: true }).waitFor()
    await page.goto('about:blank')
    await next.app.close()
  })

  test.each([360, 390, 820])('at %i pixels nothing is wider than the screen, and the buttons are as large as thumbs', async (width) => {
    await page.setViewportSize({ width, height: 844 })
    await saveIncidents(web.db, [
      { ...seeded.incident, title: `gateway: ${'unbreakable'.repeat(20)}`, services: ['a-service-with-a-very-long-name'.repeat(3)] },
    ])
    for (const address of [url, `${url}/incidents/${seeded.incident.id}`]) {
      await page.goto(address)
      await page.getByText('Live', { exact: true }).waitFor()
      await page.waitForFunction(
        () => document.querySelectorAll('.chart').length === 0 || document.querySelectorAll('.chart canvas').length >= 3,
      )
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0)
    }
    for (const name of ['Acknowledge', 'Resolve']) {
      const box = await page.getByRole('button', { name }).boundingBox()
      expect(box?.height).toBeGreaterThanOrEqual(48)
      expect(box?.width).toBeGreaterThanOrEqual(120)
    }
  })

  test('without scripts everything but the charts is there, and the buttons work', async () => {
    const plain = await browser.newPage({ javaScriptEnabled: false })
    await plain.goto(`${url}/incidents/${seeded.incident.id}`)
    await plain.getByRole('button', { name: 'Acknowledge' }).click()
    await plain.getByText('Somebody acknowledged the incident.').first().waitFor()
    expect(await plain.locator('.status').getAttribute('data-status')).toBe('acknowledged')
    expect(await plain.locator('#timeline time').first().innerText()).toMatch(/^2026-03-01 \d\d:\d\d:\d\d UTC$/)
    await plain.close()
  })
})
