/**
 * A member of a consumer group in a process of its own, to be killed: a handler that keeps a checkpoint (offset and what it has
 * seen) with its parent, by compare-and-set over IPC. Run by `startMember` in transport-kafka-members.ts.
 */
import { FencedError } from '../../src/errors.ts'
import type { KafkaConfig } from '../../src/transport/config.ts'
import { createKafkaTransport } from '../../src/transport/kafka.ts'
import { CheckpointingReader, type CheckpointStore } from './transport-kafka-members.ts'
import { quietTelemetry } from './transport-kafka-support.ts'

const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
let calls = 0

function ask(method: string, args: readonly unknown[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const id = calls++
    waiting.set(id, { resolve, reject })
    process.send!({ id, method, args })
  })
}

const store: CheckpointStore = {
  load: (partition) => ask('load', [partition]) as ReturnType<CheckpointStore['load']>,
  save: (...args) => ask('save', args) as Promise<void>,
  wrongOffset: (...args) => ask('wrongOffset', args) as Promise<void>,
}

process.on('message', (message: { id: number; value?: unknown; fenced?: string } | 'stop') => {
  if (message === 'stop') {
    void stop()
    return
  }
  const call = waiting.get(message.id)
  waiting.delete(message.id)
  if (message.fenced === undefined) call?.resolve(message.value)
  else call?.reject(new FencedError(message.fenced))
})
process.on('disconnect', () => process.exit(1))

const { config, topic } = JSON.parse(process.argv[2]!) as { config: KafkaConfig; topic: string }
const transport = createKafkaTransport(config, { telemetry: quietTelemetry(), clock: Date.now })
await transport.subscribe(topic, 'members', new CheckpointingReader(store))
process.send!({ id: -1, method: 'ready', args: [] })

async function stop(): Promise<void> {
  await transport[Symbol.asyncDispose]()
  process.disconnect()
  process.exit(0)
}
