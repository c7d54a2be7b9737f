import type { LogLevel, ConfiguredCatalog, Session } from '@tapline/protocol';
import type { Output } from '@tapline/sdk';
import type { Readable } from 'node:stream';
import type { Compression } from '../convert/copy-sql.js';
import type { Refuse } from '../convert/refuse-sql.js';
import type { Sink } from '../sink.js';
import type { PartitionOption } from './partition.js';

export interface WriteColumnarRequest {
  /** Lines of the protocol; ends or is destroyed by us. */
  readonly input: Readable;
  readonly output: Output;
  readonly catalog: ConfiguredCatalog;
  readonly session?: Session | undefined;
  /** Opened here; disposed of by who made it. */
  readonly sink: Sink;
  readonly options: ColumnarOptions;
  /** Aborted by SIGTERM: commit up to the last STATE, echo, resolve. */
  readonly signal?: AbortSignal | undefined;
  readonly log: (level: LogLevel, message: string) => void;
}

export interface ColumnarOptions {
  /** A folder with room for a few chunks; a private folder is made in it, and removed at the end. */
  readonly stagingDirectory: string;
  /** Name of the sync: the first 8 hex of its SHA-256 begin every `_airbyte_raw_id`. */
  readonly sync: string;
  /**
   * When to commit, whichever comes first. The session's wins over it; default 60 s, 128 MB, no limit of rows. Of batches that the sink takes
   * as they are 32 MB, up to 128 where a commit takes long, and 16 where none is under way: it loads them while the next ones come.
   */
  readonly flush?: { readonly ms?: number | undefined; readonly bytes?: number | undefined; readonly rows?: number | undefined } | undefined;
  /** Bytes of lines that become one Parquet file. Default 64 MB. Of batches, which are packed closer and converted faster, a quarter. */
  readonly chunkBytes?: number | undefined;
  /** Wanted size of a Parquet file instead: the chunk follows from how the stream compresses. Needs a `flush.bytes` to match. */
  readonly targetFileBytes?: number | undefined;
  /** Bytes of lines in a row group, about. Default 8 MB. */
  readonly rowGroupBytes?: number | undefined;
  /** Default zstd. */
  readonly compression?: Compression | undefined;
  /** The sink reads each file once and deletes it: nothing is packed, whatever `compression` says. Default false. */
  readonly readOnce?: boolean | undefined;
  readonly partition?: PartitionOption | undefined;
  /**
   * Records may leave values out that are as they were (`meta.unchanged`): their files say which ({@link ParquetFile.unchanged}).
   * Without it such a value is null. Default false.
   */
  readonly partial?: boolean | undefined;
  /** {@link Refuse}. Default: nothing is refused. */
  readonly refuse?: Refuse | undefined;
  /** For the engine. Default: 128 MB a worker, at most half of what the process may use. */
  readonly memoryBytes?: number | undefined;
  /** Conversions at a time, one core each. Default: the cores, at most 2. */
  readonly workers?: number | undefined;
}

const MB = 1 << 20;

export function limitsOf({ options, session, sink }: Pick<WriteColumnarRequest, 'options' | 'session' | 'sink'>) {
  const asked = session?.flush?.bytes ?? options.flush?.bytes;
  return {
    ms: session?.flush?.ms ?? options.flush?.ms ?? 60_000,
    bytes: asked ?? 128 * MB,
    /** Of batches: so much is enough while no commit is under way; while one is, from `least` to `most`, as long as it takes. */
    batchCut: asked === undefined && sink.stageBatches ? { idle: 16 * MB, least: 32 * MB, most: 128 * MB } : all(asked ?? 128 * MB),
    rows: options.flush?.rows ?? Infinity,
    chunkBytes: options.chunkBytes ?? 64 * MB,
    batchBytes: sink.stageBatches ? 64 * MB : (options.chunkBytes ?? 64 * MB) / 4,
    targetFileBytes: options.targetFileBytes,
    rowGroupBytes: options.rowGroupBytes ?? 8 * MB,
  };
}
const all = (bytes: number) => ({ idle: bytes, least: bytes, most: bytes });
export type Limits = ReturnType<typeof limitsOf>;
