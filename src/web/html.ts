/**
 * Pages as template literals: html`<b>${anything}</b>`. What is put in is escaped, unless it is html itself, so that text from
 * telemetry can never become markup. Safe between tags and inside attribute values in double quotes; nowhere else (never in
 * a script, a style, a tag name or an address that is not ours).
 */

/** Markup that has been made by the template tag; only there can it be made. */
export class Html {
  readonly #markup: string
  private constructor(markup: string) {
    this.#markup = markup
  }

  toString(): string {
    return this.#markup
  }

  static make(strings: readonly string[], values: readonly Content[]): Html {
    let markup = strings[0] ?? ''
    for (let i = 0; i < values.length; i++) markup += render(values[i]) + (strings[i + 1] ?? '')
    return new Html(markup)
  }
}

/** Nothing comes of undefined and false, so that `condition && html…` reads well; lists are joined. */
export type Content = Html | string | number | undefined | false | readonly Content[]

export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Html {
  return Html.make(strings, values)
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '')
}

function render(content: Content): string {
  if (content instanceof Html) return content.toString()
  if (content === undefined || content === false) return ''
  if (Array.isArray(content)) return (content as readonly Content[]).map(render).join('')
  return escapeHtml(String(content))
}
