/**
 * The names of Tocsin's own topics. A prefix keeps several installations apart on one cluster.
 */

export interface Topics {
  /** Encoded batches, partitioned by service (links: by trace). */
  readonly telemetry: string
  /** What detect made of them, one partition. */
  readonly findings: string
  /** What could not be read, with the reason and the origin in its headers. */
  readonly deadLetters: string
}

export function topicsWith(prefix: string): Topics {
  return { telemetry: `${prefix}.telemetry`, findings: `${prefix}.findings`, deadLetters: `${prefix}.dead-letters` }
}
