/**
 * The key of a log line: its text with everything that varies taken out, in one scan over the characters and without a regular
 * expression (lines are hostile; the scan is linear). `<*>` stands for a number, an id, a path, a URL, an address, a date, the name of a
 * host or class, a value after `=`, a quoted text, or a list of them.
 */
import { WILD, withoutRepeats } from './log-repeats.ts'
import { scan } from './log-scan.ts'
import { isDateWord } from './log-words.ts'

const {
  SPACE,
  DELIMITER,
  COLON,
  EQUALS,
  SLASH,
  PLAIN,
  NUMBER,
  STEM,
  word,
  classOf,
  maskedEnd,
  nameEnd,
  readWord,
  isKept,
  isTruth,
  readingEnd,
} = scan

/**
 * The key of `line` between two positions. Rules: (1) white space runs are one space; (2) paths, (3) URLs, mail addresses, `host:port`, dotted
 * names of hosts and classes, (4) words with a digit are `<*>`, except names such as `ipv4`, and `eth0` is `eth<*>`; (5) a number takes the unit
 * after it along, and a second reading in brackets; (6) so are dates, values after `=`, quoted texts and `true` after a colon, but not
 * what is done (`"GET …"`); (7) a list of `<*>` is one; (8) a group of one to four chunks that comes three times or more is kept once.
 */
export function logKey(line: string, start = 0, end = line.length): string {
  let key = ''
  let pending = ''
  let wilds = 0
  let afterWild = false
  let at = start
  while (at < end) {
    const code = line.charCodeAt(at)
    const cls = classOf(code)
    if (cls & SPACE) {
      do at++
      while (at < end && classOf(line.charCodeAt(at)) & SPACE)
      if (key !== '' || pending !== '') pending += ' '
      continue
    }
    let next = 0
    if (cls & DELIMITER) {
      next = maskedEnd(line, at, start, end)
      if (next === 0) {
        pending += line[at]
        at++
        continue
      }
      if (code === EQUALS || code !== SLASH) {
        // What was before it says which value this is: it is never part of a list.
        const mark = line[at]!
        key += code === EQUALS ? `${pending}=${WILD}` : `${pending}${mark}${WILD}${mark}`
        wilds++
        pending = ''
        afterWild = code === EQUALS
        at = next
        continue
      }
    } else {
      const wordEnd = readWord(line, at, end)
      next = nameEnd(line, at, wordEnd, end)
      if (next === 0 && word.kind === PLAIN) {
        const isValue = pending.charCodeAt(0) === COLON && isTruth(line, at, wordEnd)
        if (isValue || isDateWord(line, at, wordEnd, end, afterWild && pending.length <= 2)) next = wordEnd
      } else if (next === 0 && !isKept(line, at, wordEnd)) {
        if (word.kind === STEM) {
          key += pending + line.slice(at, word.stemEnd) + WILD
          wilds++
          pending = ''
          afterWild = false
          at = wordEnd
          continue
        }
        next = word.kind === NUMBER ? readingEnd(line, wordEnd, end) : wordEnd
      }
      if (next === 0) {
        key += pending + line.slice(at, wordEnd)
        pending = ''
        afterWild = false
        at = wordEnd
        continue
      }
    }
    // A list collapses, but not across what says which value this is.
    if (!afterWild || pending.includes('(') || pending.includes('=') || line.charCodeAt(next) === EQUALS) {
      key += pending + WILD
      wilds++
    }
    pending = ''
    afterWild = true
    at = next
  }
  key += pending.trimEnd()
  return wilds >= 3 ? withoutRepeats(key) : key
}
