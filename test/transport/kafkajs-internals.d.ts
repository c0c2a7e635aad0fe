/** The two internals of kafkajs that the codec tests decode with. */
declare module 'kafkajs/src/protocol/decoder.js' {
  interface Decoder {
    readonly buffer: Buffer
  }
  const Decoder: new (bytes: Buffer) => Decoder
  export default Decoder
}
declare module 'kafkajs/src/protocol/recordBatch/v0/decoder.js' {
  import type Decoder from 'kafkajs/src/protocol/decoder.js'
  export default function decodeBatch(decoder: Decoder): Promise<{ records: { offset: string; headers: Record<string, Buffer> }[] }>
}
