/** What is known of one stream while it is written: its columns, its generation, its spools, its counts. */
import { isDeepStrictEqual } from 'node:util';
import { streamKey, type AirbyteStream, type ConfiguredStream, type StreamDescriptor } from '@tapline/protocol';
import { planColumns } from '../convert/column-plan.js';
import type { StreamSchema } from '../sink.js';
import type { ColumnarOptions } from './options.js';
import { partitionOf } from './partition.js';
import type { Partition } from '../convert/row-sql.js';
import type { BatchFile } from '../convert/batch-forms.js';
import { BatchSpool } from './batch-spool.js';
import { LineSpool } from './line-spool.js';
import type { Spool } from './spool.js';

/** How large a spool grows before it is converted. */
export interface ChunkLimit {
  readonly chunkBytes: number;
  /** The same of batches. */
  readonly batchBytes: number;
  /** Wanted size of a Parquet file; the chunk follows from how the stream compresses. */
  readonly targetFileBytes: number | undefined;
}

const MB = 1 << 20;
/** Rows so wide that few of them fill the engine's memory: smaller chunks. */
const wideLine = 512 << 10;

type LaneOptions = Pick<ColumnarOptions, 'partition' | 'partial'>;

export class Lane {
  readonly key: string;
  readonly stream: StreamDescriptor;
  readonly syncId: number | undefined;
  schema: StreamSchema;
  partition: Partition | undefined;
  generation: number;
  /** In order; the last one may still take rows, and where rows carry their order the last one of each kind. */
  spools: Spool[] = [];
  /** Records since the last STATE that was about this stream alone. */
  sinceState = 0;
  /** A STREAM_STATUS COMPLETE came after the last STATE, and no record since. */
  complete = false;
  #stream: AirbyteStream;
  #records = 0;
  /** Bytes of a file for each of its input's. */
  readonly #ratios = { lines: 0.15, batches: 0.3 };
  #rows = { seq: 0, next: 1 };
  readonly #options: LaneOptions;

  constructor(configured: ConfiguredStream, generation: number, options: LaneOptions) {
    const { name, namespace } = configured.stream;
    this.stream = namespace ? { name, namespace } : { name };
    this.key = streamKey(this.stream);
    this.syncId = configured.sync_id ?? undefined;
    this.generation = generation;
    this.#options = options;
    this.#stream = configured.stream;
    this.schema = { configured, plan: planColumns(configured.stream) };
    this.partition = partitionOf(this.key, this.schema.plan, options.partition);
  }

  /** The form of the records that follow; what is not told stays as it was. A column that is declared no more stays, null: files of one stream differ only by what was added. */
  evolve(declared: Partial<ConfiguredStream> & Pick<ConfiguredStream, 'stream'>): void {
    const schema = this.schema;
    const configured = { ...schema.configured, ...declared };
    const next = withDropped(this.#stream, declared.stream);
    const plan = planColumns(next);
    this.#stream = next;
    this.schema = { configured, plan };
    if (isDeepStrictEqual(plan, schema.plan) && isDeepStrictEqual(meaningOf(configured), meaningOf(schema.configured))) return;
    this.partition = partitionOf(this.key, plan, this.#options.partition);
    this.#end();
  }

  begin(generation: number): void {
    this.generation = generation;
    this.#end();
  }

  /**
   * Takes out, and returns, the spools whose rows must go and that no commit needs to know of: nothing of them is before a STATE,
   * and their conversion has not begun.
   */
  drop(goes: (generation: number) => boolean): Spool[] {
    const dropped = this.spools.filter((spool) => spool.sealedRows === 0 && spool.position === undefined && goes(spool.generation));
    if (dropped.length > 0) this.spools = this.spools.filter((spool) => !dropped.includes(spool));
    return dropped;
  }

  /** Returns the spool if it is full now. */
  append(bytes: Buffer, lines: number, longestLine: number, path: () => string, limit: ChunkLimit): Spool | undefined {
    const open = this.#open((one) => one instanceof LineSpool) as LineSpool | undefined;
    const spool = open ?? new LineSpool({ ...this.#origin, path: path() });
    if (!open) this.#push(spool);
    spool.append(bytes, lines, longestLine);
    this.#grown(spool, lines, limit);
    return spool.full ? spool : undefined;
  }

  /** Returns its spool, which may be full now. `columns`: field of each column of the file. */
  appendBatch(file: BatchFile, columns: readonly string[], limit: ChunkLimit): BatchSpool {
    const open = this.#open((one) => one instanceof BatchSpool && one.has(columns)) as BatchSpool | undefined;
    const spool = open ?? new BatchSpool({ ...this.#origin, columns });
    if (!open) this.#push(spool);
    spool.append(file);
    this.#grown(spool, file.rows, limit);
    return spool;
  }

  /** Records of this generation or a lower one after the last STATE that covers this stream? */
  hasTailOf(generation: number): boolean {
    return this.spools.some((spool) => spool.sealedRows < spool.rows && spool.generation <= generation);
  }

  /** All records so far are before a STATE. Lines that are half a spool end here, so that it has not to be divided later; files divide themselves. */
  seal(limit: ChunkLimit): void {
    for (const spool of this.spools) {
      spool.seal();
      if (kindOf(spool) === 'lines' && spool.bytes >= this.#limit(spool, limit) / 2) spool.full = true;
    }
  }

  /** Takes the spools before the last STATE out; what follows it stays, in spools of its own. */
  takeSealed(path: () => string): Spool[] {
    const taken: Spool[] = [];
    const kept: Spool[] = [];
    for (const spool of this.spools) {
      if (spool.sealedRows === 0) kept.push(spool);
      else {
        if (spool.sealedRows < spool.rows) kept.push(spool.split(path()));
        spool.full = true;
        taken.push(spool);
      }
    }
    this.spools = kept;
    return taken;
  }

  /** Gives a spool its place in the order. Called in the order of the spools, once it takes no more lines. */
  place(spool: Spool, seq: number): void {
    if (spool.position) return;
    if (this.#rows.seq !== seq) this.#rows = { seq, next: 1 };
    spool.position = { seq, firstRow: this.#rows.next };
    this.#rows.next += spool.rows;
  }

  learnRatio(spool: Spool, fileBytes: number): void {
    if (spool.bytes > MB) this.#ratios[kindOf(spool)] = Math.max(fileBytes / spool.bytes, 0.01);
  }

  #limit(spool: Spool, { chunkBytes, batchBytes, targetFileBytes }: ChunkLimit): number {
    const kind = kindOf(spool);
    const bytes = kind === 'lines' ? chunkBytes : batchBytes;
    if (spool.widestRow > wideLine) return Math.min(bytes, 16 * MB);
    if (targetFileBytes === undefined) return bytes;
    // A file holds at most what its input held, so that 512 MB of that stay within a file's limit.
    return Math.min(Math.max(targetFileBytes / this.#ratios[kind], 8 * MB), 480 * MB);
  }

  get #origin() {
    return { schema: this.schema, generation: this.generation, firstLine: this.#records + 1, partial: this.#options.partial ?? false };
  }

  /** That may still take rows of its kind. */
  #open(isOfKind: (spool: Spool) => boolean): Spool | undefined {
    return this.spools.findLast((spool) => !spool.full && isOfKind(spool));
  }

  /**
   * Rows that are told in the order of their spools wait in one at a time. Where each carries its order, lines and batches that come by turns, as
   * small and large transactions do, gather in one spool of each kind: else each turn would be a file of its own.
   */
  #push(spool: Spool): void {
    for (const other of this.spools) if (!this.schema.plan.ownOrder || kindOf(other) === kindOf(spool)) other.full = true;
    this.spools.push(spool);
  }

  #grown(spool: Spool, rows: number, limit: ChunkLimit): void {
    this.#records += rows;
    this.sinceState += rows;
    if (spool.bytes >= this.#limit(spool, limit)) spool.full = true;
  }

  #end(): void {
    for (const spool of this.spools) spool.full = true;
  }
}

const kindOf = (spool: Spool): 'lines' | 'batches' => (spool instanceof BatchSpool ? 'batches' : 'lines');

/** What the records of a stream mean besides their columns. */
const meaningOf = ({ stream, sync_mode, destination_sync_mode, cursor_field, primary_key }: ConfiguredStream): unknown =>
  [sync_mode, destination_sync_mode, cursor_field, primary_key, stream.source_defined_primary_key, stream.default_cursor_field];

function withDropped(before: AirbyteStream, after: AirbyteStream): AirbyteStream {
  const [old, declared] = [before, after].map(({ json_schema: schema }) => schema['properties'] as Readonly<Record<string, unknown>> | undefined);
  if (!old || !declared) return after;
  // Spelled otherwise, it is the same column to most readers.
  const names = new Set(Object.keys(declared).map((name) => name.toLowerCase()));
  const properties: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(old)) if (name in declared || !names.has(name.toLowerCase())) properties[name] = declared[name] ?? property;
  return { ...after, json_schema: { ...after.json_schema, properties: { ...properties, ...declared } } };
}
