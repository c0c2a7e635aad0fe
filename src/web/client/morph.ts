/**
 * Makes an element like another one by changing only what differs, so that scroll position, focus, selection, what somebody has
 * unfolded and what scripts have drawn stay as they are. Elements with an id are matched by it, others by position.
 * `data-hold` keeps an element as it is for now; what is inside `data-scripted` belongs to the scripts.
 */
export function morph(current: Element, next: Element): void {
  if (current.hasAttribute('data-hold')) return
  copyAttributes(current, next)
  if (!next.hasAttribute('data-scripted')) morphChildren(current, next)
}

function copyAttributes(current: Element, next: Element): void {
  for (const { name } of Array.from(current.attributes)) {
    if (!next.hasAttribute(name) && !belongsToReader(current, name)) current.removeAttribute(name)
  }
  for (const { name, value } of Array.from(next.attributes)) {
    if (current.getAttribute(name) !== value && !belongsToReader(current, name)) current.setAttribute(name, value)
  }
}

/** Whether something is unfolded is the reader's choice from the moment it is on the page. */
function belongsToReader(element: Element, attribute: string): boolean {
  return attribute === 'open' && element instanceof HTMLDetailsElement
}

function morphChildren(current: Element, next: Element): void {
  const known = new Map<string, Element>()
  for (const child of Array.from(current.children)) if (child.id !== '') known.set(child.id, child)
  let place: ChildNode | null = current.firstChild
  for (const wanted of Array.from(next.childNodes)) {
    const match = matching(place, wanted, known)
    if (!match) {
      current.insertBefore(document.importNode(wanted, true), place)
      continue
    }
    if (match === place) place = place.nextSibling
    else current.insertBefore(match, place)
    if (match instanceof Element && wanted instanceof Element) morph(match, wanted)
    else if (match.nodeValue !== wanted.nodeValue) match.nodeValue = wanted.nodeValue
  }
  while (place) {
    const left: ChildNode = place
    place = place.nextSibling
    left.remove()
  }
}

function matching(place: ChildNode | null, wanted: ChildNode, known: ReadonlyMap<string, Element>): ChildNode | undefined {
  if (wanted instanceof Element && wanted.id !== '') {
    const same = known.get(wanted.id)
    return same?.nodeName === wanted.nodeName ? same : undefined
  }
  if (!place || place.nodeType !== wanted.nodeType || place.nodeName !== wanted.nodeName) return undefined
  return place instanceof Element && place.id !== '' ? undefined : place
}
