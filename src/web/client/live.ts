/**
 * Keeps the page as things are: listens while somebody looks at it, looks again after it has been away. Where the stream cannot be
 * had it looks every half minute.
 */

const pollMs = 30_000

/** `id`: only this incident matters; undefined: any. */
export function startLive(id: string | undefined, refresh: () => Promise<boolean>): void {
  let source: EventSource | undefined
  let poll: number | undefined
  let underWay = false
  let again = false
  let missed = false

  const look = async (): Promise<void> => {
    if (underWay) {
      again = true
      return
    }
    underWay = true
    try {
      say((await refresh()) ? (source?.readyState === EventSource.OPEN ? 'live' : 'polling') : 'lost')
    } catch {
      say('lost') // no connection: the stream, or the next look, will find out when it is back
    } finally {
      underWay = false
    }
    if (again) {
      again = false
      await look()
    }
  }

  const open = (): void => {
    clearInterval(poll)
    source?.close()
    const stream = new EventSource('/api/v1/stream')
    source = stream
    stream.addEventListener('open', () => {
      say('live')
      if (missed) void look()
      missed = false
    })
    stream.addEventListener('incidents', (event: MessageEvent<string>) => {
      const { ids } = JSON.parse(event.data) as { ids: readonly string[] }
      if (id === undefined || ids.length === 0 || ids.includes(id)) void look()
    })
    stream.addEventListener('error', () => {
      missed = true
      say('lost')
      // Refused for good: a full house, a proxy that knows no streams.
      if (stream.readyState === EventSource.CLOSED && source === stream) {
        clearInterval(poll)
        poll = window.setInterval(() => void look(), pollMs)
      }
    })
  }

  // A browser has few connections to one server: pages that nobody looks at give theirs back.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      clearInterval(poll)
      source?.close()
      missed = true
    } else open()
  })
  window.addEventListener('pagehide', () => source?.close())
  window.addEventListener('pageshow', (event) => {
    if (!event.persisted) return
    missed = true
    open()
  })
  open()
}

const words = { live: 'Live', polling: 'Refreshed every 30 s', lost: 'No connection: what you see may be old' } as const

function say(state: keyof typeof words): void {
  const sign = document.getElementById('live')
  if (!sign || sign.dataset['state'] === state) return
  sign.dataset['state'] = state
  sign.textContent = words[state]
}
