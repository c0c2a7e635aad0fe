/**
 * Acknowledge and Resolve without leaving the page. Resolving cannot be taken back and is told to everybody, so it wants a second press.
 * What went wrong is said next to the buttons, and then nothing has been changed.
 */

const armedMs = 6000
const timeoutMs = 15_000
const nameKey = 'tocsin-name'

export function watchButtons(refresh: () => Promise<boolean>): void {
  restoreName()
  document.addEventListener('input', (event) => {
    if (event.target instanceof HTMLInputElement && event.target.id === 'by') keepName(event.target.value)
  })
  document.addEventListener('submit', (event) => {
    const button = event.submitter
    if (!(event.target instanceof HTMLFormElement) || event.target.id !== 'actions' || !(button instanceof HTMLButtonElement)) return
    event.preventDefault()
    if (button.value === 'resolve' && !button.hasAttribute('data-hold')) arm(button)
    else void press(button, event.target, refresh)
  })
}

function arm(button: HTMLButtonElement): void {
  button.setAttribute('data-hold', '')
  button.textContent = 'Press again to resolve'
  say('Resolving is told to everybody and cannot be taken back.')
  setTimeout(() => {
    if (!button.disabled) disarm(button)
  }, armedMs)
}

function disarm(button: HTMLButtonElement): void {
  if (!button.hasAttribute('data-hold')) return
  button.removeAttribute('data-hold')
  button.textContent = 'Resolve'
  say('')
}

async function press(button: HTMLButtonElement, form: HTMLFormElement, refresh: () => Promise<boolean>): Promise<void> {
  const by = new FormData(form).get('by')
  button.disabled = true
  say('')
  let problem = ''
  try {
    const response = await fetch(`/api/v1${button.getAttribute('formaction') ?? ''}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(typeof by === 'string' && by.trim() !== '' ? { by } : {}),
      signal: AbortSignal.timeout(timeoutMs),
    })
    if (!response.ok) problem = errorOf(await response.text(), response.status)
  } catch {
    problem = 'Tocsin did not answer. Look whether it was done, and press again if not.'
  }
  button.disabled = false
  disarm(button)
  await refresh().catch(() => false) // the live sign says when the page is old
  say(problem)
}

function errorOf(text: string, status: number): string {
  try {
    return String((JSON.parse(text) as { error?: unknown }).error)
  } catch {
    return `That did not work (HTTP ${status}).`
  }
}

function say(text: string): void {
  const note = document.getElementById('note')
  if (note) note.textContent = text
}

/** Browsers can forbid storage; then the name is asked for again next time. */
function keepName(name: string): void {
  try {
    localStorage.setItem(nameKey, name)
  } catch (error) {
    console.info('The name cannot be remembered:', error)
  }
}

function restoreName(): void {
  const input = document.getElementById('by')
  if (!(input instanceof HTMLInputElement)) return
  try {
    input.value = localStorage.getItem(nameKey) ?? ''
  } catch (error) {
    console.info('The name was not remembered:', error)
  }
}
