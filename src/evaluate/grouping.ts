/**
 * How well log lines were sorted into templates, against the true template of each line. Group accuracy (GA): lines whose group is
 * exactly the set of lines of their true template; FGA: the F1 over groups of the same. Parsing accuracy (PA): lines whose template is the
 * true one to the letter; FTA: the F1 over templates whose lines all have that very template.
 * Zhu et al., ICSE-SEIP 2019 (https://arxiv.org/abs/1811.03509), Khan et al., ICSE 2022 (https://doi.org/10.1145/3510003.3510101), Jiang et al.,
 * ISSTA 2024 (https://arxiv.org/abs/2308.10828); https://github.com/logpai/loghub-2.0/tree/main/benchmark/evaluation.
 */

export interface GroupFigures {
  readonly ga: number
  readonly fga: number
}

export interface TemplateFigures {
  readonly pa: number
  readonly fta: number
}

/** Which group each line was put into, and which it belongs into; any names will do, for they are only compared with each other. */
export function groupFigures(found: readonly (string | number)[], truth: readonly (string | number)[]): GroupFigures {
  const foundGroups = groupsOf(found, truth)
  const trueSizes = groupsOf(truth, truth)
  let lines = 0
  let right = 0
  for (const { size, others } of foundGroups.values()) {
    const [only] = others
    if (others.size !== 1 || trueSizes.get(only!)!.size !== size) continue
    lines += size
    right++
  }
  return { ga: share(lines, found.length), fga: harmonic(right, foundGroups.size, trueSizes.size) }
}

/** The template each line was given, and the true one, with the same sign for a wildcard in both. */
export function templateFigures(found: readonly string[], truth: readonly string[]): TemplateFigures {
  let lines = 0
  for (let i = 0; i < found.length; i++) if (found[i] === truth[i]) lines++
  const templates = groupsOf(found, truth)
  let right = 0
  for (const [template, { others }] of templates) if (others.size === 1 && others.has(template)) right++
  return { pa: share(lines, found.length), fta: harmonic(right, templates.size, new Set(truth).size) }
}

interface Group {
  size: number
  /** What its lines are called on the other side. */
  readonly others: Set<string | number>
}

function groupsOf(names: readonly (string | number)[], others: readonly (string | number)[]): Map<string | number, Group> {
  const groups = new Map<string | number, Group>()
  for (let i = 0; i < names.length; i++) {
    let group = groups.get(names[i]!)
    if (group === undefined) groups.set(names[i]!, (group = { size: 0, others: new Set() }))
    group.size++
    group.others.add(others[i]!)
  }
  return groups
}

const share = (part: number, whole: number): number => (whole === 0 ? Number.NaN : part / whole)

/** F1 of a precision `right / found` and a recall `right / wanted`. */
const harmonic = (right: number, found: number, wanted: number): number => share(2 * right, found + wanted)
