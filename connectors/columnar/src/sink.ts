/**
 * The contract between the columnar path (lines in, Parquet or a typed relation out) and what stores it:
 * `open -> stage* -> commit -> publish`, over and over. A lake, a warehouse and later a table format are three sinks of it.
 * Calls come from one writer: `commit` N+1 is never called before `publish` of N has resolved; `stage` for N+1 may overlap with both.
 */
import type { Checkpoint, StreamDescriptor } from '@tapline/protocol';

export interface Sink extends AsyncDisposable {
  /**
   * Takes the sync over: fences older writers by a higher epoch, finishes what an earlier commit left unpublished,
   * removes what nobody will name again. `checkpoint` null = nothing of this sync was ever committed.
   */
  open(): Promise<{ readonly epoch: number; readonly checkpoint: Checkpoint | null; /** seq of the last commit, 0 = none. */ readonly seq: number }>;
  /** Makes one local Parquet file durable, invisible to readers. May run concurrently with itself. The local file may be deleted afterwards. */
  stage(file: ParquetFile): Promise<Staged>;
  /** The one step that decides. Rejects with a `transient_error` of code `fenced` when a newer writer took over. */
  commit(commit: Commit): Promise<void>;
  /** Makes the last commit visible to readers. Repeating it is harmless. */
  publish(): Promise<void>;
}

export interface ParquetFile {
  readonly stream: StreamDescriptor;
  readonly generation: number;
  /** Absolute path of the finished local file. */
  readonly path: string;
  readonly rows: number;
  /** Size of the file in bytes. */
  readonly bytes: number;
  /** Hive folders between the stream's folder and the file, such as `date=2026-11-20/hour=07`; '' = none. */
  readonly partition: string;
}

/** A durable, invisible object. `name` is the sink's own. */
export interface Staged extends Omit<ParquetFile, 'path'> {
  readonly name: string;
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
