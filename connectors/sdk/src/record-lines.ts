/** RECORD lines, gathered into writes of some size. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { streamKey, type LineWriter, type RecordChange, type StreamDescriptor } from '@tapline/protocol';

const gather = 65_536;
/** A source that never waits for anything would keep signals, acks and timers out: let them in so often. */
const turnMs = 20;

/**
 * Small records leave together: at 64 KB, or as soon as the source makes us wait. Whoever writes anything else to the same pipe
 * calls `flush` first.
 */
export class RecordLines {
  readonly #writer: LineWriter;
  readonly #prefixes = new Map<string, string>();
  #lastStream: StreamDescriptor | undefined;
  #lastPrefix = '';
  #buffer = '';
  #scheduled: NodeJS.Immediate | undefined;
  #writing: Promise<void> = Promise.resolve();
  #lastTurn = performance.now();

  constructor(writer: LineWriter) {
    this.#writer = writer;
  }

  /** Undefined: go on at once. A promise: wait for it, the pipe is full. */
  add(stream: StreamDescriptor, data: object, changes?: readonly RecordChange[]): Promise<void> | undefined {
    const meta = changes && changes.length > 0 ? `,"meta":${JSON.stringify({ changes })}` : '';
    this.#buffer += `${this.#prefix(stream)}${Date.now()},"data":${JSON.stringify(writable(data))}${meta}}}\n`;
    if (this.#buffer.length >= gather) return this.flush().then(() => this.breathe());
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      // A failure is the writer's to remember: the next write rejects with it.
      this.flush().catch(() => {});
    });
    return undefined;
  }

  /** Resolves when all that was added is in the pipe's hands. */
  flush(): Promise<void> {
    if (this.#buffer !== '') {
      const bytes = this.#buffer;
      this.#buffer = '';
      this.#writing = this.#writer.bytes(bytes);
    }
    return this.#writing;
  }

  async breathe(): Promise<void> {
    if (performance.now() - this.#lastTurn < turnMs) return;
    await nextTurn();
    this.#lastTurn = performance.now();
  }

  /** The beginning of a line, byte for byte the same for all records of a stream, so that readers can compare and skip it. */
  #prefix(stream: StreamDescriptor): string {
    if (stream === this.#lastStream) return this.#lastPrefix;
    const key = streamKey(stream);
    let prefix = this.#prefixes.get(key);
    if (prefix === undefined) {
      const namespace = stream.namespace ? `,"namespace":${JSON.stringify(stream.namespace)}` : '';
      prefix = `{"type":"RECORD","record":{"stream":${JSON.stringify(stream.name)}${namespace},"emitted_at":`;
      this.#prefixes.set(key, prefix);
    }
    this.#lastStream = stream;
    this.#lastPrefix = prefix;
    return prefix;
  }
}

/** `data`, or a copy in which the top-level values that JSON.stringify would refuse or ruin have their agreed forms. */
function writable(data: object): object {
  let copy: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(data)) {
    const form = formOf(value);
    if (form !== value) (copy ??= { ...data })[name] = form;
  }
  return copy ?? data;
}

function formOf(value: unknown): unknown {
  switch (typeof value) {
    case 'bigint':
      return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString();
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    default:
      return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') : value;
  }
}
