/** Zstandard in the thread pool; Node's own comes with 22.15 only. */

/** Resolves with one frame. The bytes must not change until then. */
export type Compress = (bytes: Uint8Array) => Promise<Buffer>;

/** Rejects where the library has no binary for this platform. */
export async function loadZstd(): Promise<Compress> {
  const { Encoder } = await import('@toondepauw/node-zstd');
  // As in the engine's files: files of rows are seldom smaller by a higher level, and it takes half as long again.
  const encoder = new Encoder(1);
  return (bytes) => encoder.encode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
}
