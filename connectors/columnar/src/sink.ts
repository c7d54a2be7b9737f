/**
 * The contract between the columnar path (lines in, Parquet or a typed relation out) and what stores it:
 * `open -> stage* -> commit -> publish`, over and over. A lake, a warehouse and later a table format are three sinks of it.
 * Calls come from one writer: `commit` N+1 is never called before `publish` of N has resolved; `stage` for N+1 may overlap with both.
 */
import type { Checkpoint, ConfiguredStream, StreamDescriptor } from '@tapline/protocol';
import type { ColumnPlan } from './convert/column-plan.js';
import type { PlainRows } from './convert/plain-rows.js';

export interface Sink extends AsyncDisposable {
  /**
   * Takes the sync over: fences older writers by a higher epoch, finishes what an earlier commit left unpublished,
   * removes what nobody will name again. `checkpoint` null = nothing of this sync was ever committed.
   */
  open(): Promise<{ readonly epoch: number; readonly checkpoint: Checkpoint | null; /** seq of the last commit, 0 = none. */ readonly seq: number }>;
  /**
   * What a stream looks like from here on: of each stream of the catalog after `open`, later of each SCHEMA when it is read, ahead of every
   * file of it, and also while a commit is under way. Files of an earlier form may still come: each carries its own. What it throws ends the run.
   */
  configure?(schema: StreamSchema): void;
  /**
   * Of this stream rows are wanted, too, that a later generation of the same commit replaces: they were there for a time, and it keeps the
   * history. Where it says no, or nothing, most of them never come. Rows of a generation that gave way before it was complete were never there.
   */
  keepsReplaced?(stream: StreamDescriptor): boolean;
  /** Makes one local Parquet file durable, invisible to readers. May run concurrently with itself. The local file may be deleted afterwards. */
  stage(file: ParquetFile): Promise<Staged>;
  /**
   * Where a sink has it, batches are not converted: it takes the files and reads their rows out of them itself. Those that wait for their
   * commit it moves; the others it deletes after it. All else is as with {@link stage}.
   */
  stageBatches?(batches: StagedBatches): Promise<Staged>;
  /** The one step that decides. Rejects with a `transient_error` of code `fenced` when a newer writer took over. */
  commit(commit: Commit): Promise<CommitReport | void>;
  /** Makes the last commit visible to readers. Repeating it is harmless. */
  publish(): Promise<void>;
}

/** A stream in one form. */
export interface StreamSchema {
  /** As it was declared last, with its modes, key and cursor. */
  readonly configured: ConfiguredStream;
  /** The columns of the files. Those that were declared earlier in this run, and are no more, stay among them, null. */
  readonly plan: ColumnPlan;
}

export interface ParquetFile {
  readonly stream: StreamDescriptor;
  /** The form in which its records came. */
  readonly schema: StreamSchema;
  readonly generation: number;
  /** Absolute path of the finished local file. */
  readonly path: string;
  readonly rows: number;
  /** Size of the file in bytes. */
  readonly bytes: number;
  /** Hive folders between the stream's folder and the file, such as `date=2026-11-20/hour=07`; '' = none. */
  readonly partition: string;
  /**
   * It has a column `_tapline_unchanged` (VARCHAR), the last one: a JSON list of the names of columns (of the file) that are null because the
   * source did not tell their value, which is as it was; null where there are none. Only with `ColumnarOptions.partial`, and not where no record of the file has any.
   */
  readonly unchanged: boolean;
  /** It has a column `_tapline_extra` (VARCHAR): a JSON object of the fields of each record that nobody declared; null where there are none. */
  readonly extra: boolean;
}

/** Batch files, and the rows that a converted file of them would have. */
export interface StagedBatches extends Omit<ParquetFile, 'path'> {
  /** Absolute paths, in order. */
  readonly paths: readonly string[];
  /** Their commit may be far away: until then they must not take the room that the source writes into. */
  readonly waits: boolean;
  /** A SELECT of the columns of `schema`, in DuckDB's SQL, once the files have these paths, in the same order. Row order means nothing: `_tapline_order` is among them. */
  select(paths: readonly string[]): string;
  /** The same rows, but for what the destination refuses, where their values lie in the files as they are. */
  readonly plain: PlainRows | undefined;
}

/** A durable, invisible object. `name` is the sink's own. */
export interface Staged extends Omit<ParquetFile, 'path'> {
  readonly name: string;
}

/** What a commit has to say besides that it was done. */
export interface CommitReport {
  /** Values that became null because the destination cannot hold them. */
  readonly nulledValues?: number;
}

export interface Commit {
  /** One more than the last commit's. */
  readonly seq: number;
  readonly staged: readonly Staged[];
  /** All states after this commit (`mergeStates`), raw text of STATE bodies. */
  readonly states: readonly string[];
  readonly stateId: number;
  /**
   * Generations that were begun since the last commit, in order. An open generation that is begun again goes on; one that is open when
   * another of its stream begins, and is not in `completed`, gives way: what was staged of it, before or with this commit, is dropped.
   */
  readonly begun: readonly GenerationBegin[];
  /** Generations that end with this commit, in order. One stream may end several (TRUNCATEs), and have begun a later one. */
  readonly completed: readonly CompletedGeneration[];
}

/** Which generation of the stream ended: a later one may have begun within the same commit. */
export interface CompletedGeneration extends StreamDescriptor {
  readonly generation?: number;
}

export interface GenerationBegin {
  readonly stream: StreamDescriptor;
  readonly generation: number;
  /** Rows of lower generations leave when this one completes; 0 = none. */
  readonly minimum: number;
}
