/** A link to something folded unfolds it. */
export function watchLinks(): void {
  const unfold = (): void => {
    const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null
    for (let element: Element | null = target; element; element = element.parentElement) {
      if (element instanceof HTMLDetailsElement) element.open = true
    }
    target?.scrollIntoView()
  }
  window.addEventListener('hashchange', unfold)
  document.addEventListener('click', (event) => {
    // The same link again changes no hash.
    if (event.target instanceof Element && event.target.closest('a[href^="#"]')) setTimeout(unfold)
  })
  if (location.hash !== '') unfold()
}
