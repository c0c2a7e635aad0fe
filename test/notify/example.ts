/** One incident and its notices, as the tests of telling people use them. */
import type { Incident, Notice, NoticeKind } from '../../src/model.ts'
import type { NotifierContext } from '../../src/notify/notifier.ts'

export const openedMs = Date.UTC(2026, 2, 1, 3, 0, 0)

export const incident: Incident = {
  id: 'inc-7f3a',
  title: 'checkout: 38 % of requests fail (normally 0.2 %)',
  severity: 'error',
  status: 'open',
  services: ['checkout', 'frontend'],
  impact: 'Users of checkout feel it: 38 % of requests fail (normally 0.2 %).',
  causes: [
    {
      service: 'payments',
      probability: 0.71,
      evidence: [
        { kind: 'onset', points: 1, text: 'left its baseline first, 20 s before checkout', ref: 'a1' },
        { kind: 'change', points: 2.5, text: 'deploy 2.4.1 one minute before', ref: 'c1' },
      ],
      refutedBy: 'errors of checkout that do not come from payments',
    },
    { service: 'checkout', probability: 0.2, evidence: [], refutedBy: '' },
  ],
  openedMs,
  acknowledgedMs: undefined,
  resolvedMs: undefined,
  updatedMs: openedMs,
}

export const resolvedIncident: Incident = { ...incident, status: 'resolved', resolvedMs: openedMs + 12 * 60_000 }

/** Text as an attacker would have it in a log line. */
export const hostileText =
  '<!channel> *bold* <https://evil.example|click> {code} \u001b[31mred\u202e [~admin] \u0000 \ud83d &amp; @here\r\nh1. new line'

export const hostileIncident: Incident = {
  ...incident,
  title: hostileText,
  impact: hostileText.repeat(500),
  services: Array.from({ length: 500 }, (_, i) => `${hostileText} ${i}`),
  causes: Array.from({ length: 20 }, (_, i) => ({
    service: `${hostileText} ${i}`,
    probability: 1 / (i + 1),
    evidence: Array.from({ length: 100 }, (_, j) => ({ kind: 'log', points: j, text: hostileText.repeat(50), ref: '' })),
    refutedBy: hostileText.repeat(50),
  })),
}

export function noticeOf(kind: NoticeKind, more: Partial<Notice> = {}): Notice {
  return {
    id: `notice-${kind}`,
    channel: 'test',
    kind,
    reason: `because it was ${kind}`,
    atMs: openedMs + 60_000,
    incident: kind === 'resolved' ? resolvedIncident : kind === 'acknowledged' ? { ...incident, status: 'acknowledged' } : incident,
    externalId: '',
    attempts: 0,
    ...more,
  }
}

export function testContext(): NotifierContext & { readonly printed: string[] } {
  const printed: string[] = []
  return { publicUrl: 'https://tocsin.example', clock: Date.now, print: (text) => void printed.push(text), printed }
}

export const inTime = () => AbortSignal.timeout(10_000)
