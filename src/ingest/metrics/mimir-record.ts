/**
 * Records of Grafana Mimir's ingest storage. Version 0 (no header) and 1 are remote write 1.0 without compression; version 2 is much like 2.0, but
 * common symbols are not sent: references below 64 point into a table that both sides know, and what has no samples only says what a
 * family is. Mimir calls version 2 not stable yet. https://github.com/grafana/mimir/blob/main/pkg/storage/ingest/version.go
 */
import { DecodeError } from '../../errors.ts'
import type { DecodeContext } from '../decode-context.ts'
import { decodeRemoteWrite2 } from './remote-write-2.ts'
import type { RemoteWriteBatch } from './remote-write-series.ts'
import type { CommonSymbols } from './remote-write-symbols.ts'
import { decodeRemoteWrite } from './remote-write.ts'

/** By position; the wire format as of record version 2. */
const COMMON: CommonSymbols = {
  offset: 64,
  symbols: [
    ['', '__name__', '__aggregation__', '<aggregated>', 'le', 'component'],
    ['cortex_request_duration_seconds_bucket', 'storage_operation_duration_seconds_bucket'],
    ['grafana', 'asserts_env', 'asserts_request_context', 'asserts_source', 'asserts_entity_type', 'asserts_request_type'],
    ['name', 'image', 'cluster', 'namespace', 'pod', 'job', 'instance', 'container', 'replicaset'],
    ['interface', 'status_code', 'resource', 'operation', 'method'],
    ['kube-system', 'kube-system/cadvisor', 'node-exporter', 'node-exporter/node-exporter', 'kube-system/kubelet'],
    ['kube-system/node-local-dns', 'kube-state-metrics/kube-state-metrics', 'default/kubernetes'],
  ].flat(),
}

export const LATEST_MIMIR_VERSION = 2

/** `version`: of the record's `Version` header, 0 without one. */
export function decodeMimirRecord(version: number, body: Uint8Array, context: DecodeContext): RemoteWriteBatch {
  if (version === 0 || version === 1) return decodeRemoteWrite(body, context)
  if (version === 2) return decodeRemoteWrite2(body, context, COMMON)
  throw new DecodeError('unsupported', `Mimir's record version ${version} is not known, the latest that is read is ${LATEST_MIMIR_VERSION}`)
}

/** The `Version` header: four bytes, big-endian. */
export function mimirVersionOf(header: Uint8Array | undefined): number {
  if (header === undefined) return 0
  if (header.length !== 4) throw new DecodeError('unsupported', `Mimir's Version header has ${header.length} bytes, not four`)
  return new DataView(header.buffer, header.byteOffset, 4).getUint32(0)
}
