/**
 * A sink of the columnar kit whose tables and checkpoint are one database. Staged files stay local: no state has gone back, so nothing
 * need be durable. A commit is one transaction, which begins by taking the checkpoint's row.
 */
import { fenced, type Commit, type CommitReport, type ParquetFile, type Sink, type Staged, type StagedBatches, type StreamSchema } from '@tapline/columnar';
import { failpoint, streamKey, systemError, type Checkpoint, type LogLevel, type StreamDescriptor } from '@tapline/protocol';
import { join } from 'node:path';
import type { Config } from '../config.js';
import type { Warehouse } from '../warehouse.js';
import type { AfterLoad } from './after-load.js';
import { checkpointOf, CheckpointTable, type SyncRecord } from './checkpoint.js';
import { placeOf, planCommit, type Step } from './plan-commit.js';
import { StagedFiles } from './staged-files.js';
import { TableSteps } from './table-steps.js';

export interface WarehouseSinkOptions {
  /** Closed by who opened it. */
  readonly warehouse: Warehouse;
  readonly sync: string;
  /** Identity of the source; '' = unknown, keeps the one that the checkpoint holds. */
  readonly source: string;
  readonly run: string;
  /** A private folder for staged files. */
  readonly directory: string;
  readonly afterLoad: AfterLoad;
  readonly config: Config;
  log(level: LogLevel, message: string): void;
}

export class WarehouseSink implements Sink {
  readonly #options: WarehouseSinkOptions;
  readonly #checkpoints: CheckpointTable;
  readonly #tables: TableSteps;
  readonly #staged: StagedFiles;
  #record: SyncRecord | undefined;
  /** States that describe what the tables no longer hold; a writer that still carries one along cannot bring it back. */
  readonly #retired = new Set<string>();

  constructor(options: WarehouseSinkOptions) {
    this.#options = options;
    this.#checkpoints = new CheckpointTable(options.warehouse, options.sync);
    this.#staged = new StagedFiles(join(options.directory, 'staged'));
    this.#tables = new TableSteps({ ...options, rowsOf: (name) => this.#staged.rowsOf(name) });
  }

  async open(): Promise<{ readonly epoch: number; readonly checkpoint: Checkpoint | null; readonly seq: number }> {
    await this.#staged.open();
    const record = await this.#checkpoints.takeOver();
    this.#record = record;
    await this.#tables.open(record, () => this.#checkpoints.claim(record));
    if (this.#isOtherSource(record)) for (const state of record.states) this.#retired.add(state);
    return { epoch: record.epoch, seq: record.seq, checkpoint: checkpointOf(record) };
  }

  configure(schema: StreamSchema): void {
    this.#tables.configure(schema);
  }

  keepsReplaced(stream: StreamDescriptor): boolean {
    return this.#tables.keepsHistory(streamKey(stream));
  }

  stage(file: ParquetFile): Promise<Staged> {
    return this.#staged.take(file);
  }

  stageBatches(batches: StagedBatches): Promise<Staged> {
    return this.#staged.takeBatches(batches);
  }

  async commit(commit: Commit): Promise<CommitReport> {
    failpoint('dest.before_commit');
    const { warehouse, source } = this.#options;
    const held = this.#held(commit);
    const { steps, record, retired } = planCommit(held.record, commit, (stream) => this.#tables.keepsHistory(stream));
    for (const state of retired) this.#retired.add(state);
    const next: SyncRecord = { ...record, source: source || record.source, states: record.states.filter((state) => !this.#retired.has(state)) };
    const report = await warehouse.transaction(async () => {
      await this.#checkpoints.claim(next);
      const done = await this.#tables.run([...held.drops, ...steps]);
      failpoint('dest.in_commit');
      await this.#checkpoints.save(next);
      failpoint('dest.before_commit_sent');
      return done;
    }).catch((error: unknown) => this.#explain(error));
    failpoint('dest.after_commit');
    this.#record = next;
    for (const table of report.tables) this.#options.afterLoad.loaded(table);
    await this.#staged.remove(commit.staged.map(({ name }) => name));
    return { nulledValues: report.nulled };
  }

  /** Nothing is left to do: the transaction showed everything. */
  async publish(): Promise<void> {
    await this.#options.afterLoad.committed();
  }

  /** At the end of a run that went well: streams without a record have a table, too. */
  async finish(): Promise<void> {
    const record = this.#record!;
    if (this.#tables.missing.length > 0) {
      await this.#options.warehouse.transaction(async () => {
        await this.#checkpoints.claim(record);
        await this.#tables.makeMissing();
      });
    }
    await this.#options.afterLoad.run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#staged[Symbol.asyncDispose]();
  }

  /** The record that this commit goes on from. Of another source's unfinished generations nothing is inherited. */
  #held({ seq }: Commit): { record: SyncRecord; drops: Step[] } {
    const record = this.#record;
    if (!record) throw systemError('commit before open');
    if (seq !== record.seq + 1) throw systemError(`commit ${seq} follows commit ${record.seq}`);
    if (!this.#isOtherSource(record)) return { record, drops: [] };
    return { record: { ...record, open: {} }, drops: Object.keys(record.open).map((key) => ({ do: 'drop' as const, ...placeOf(key) })) };
  }

  /** A writer that took over may have ended our session: that is told, so that nobody tries again. */
  async #explain(error: unknown): Promise<never> {
    const { warehouse, sync } = this.#options;
    const now = await this.#checkpoints.read().catch(() => undefined);
    throw now && now.epoch !== this.#record!.epoch ? fenced(sync, warehouse.location) : error;
  }

  #isOtherSource = ({ source }: SyncRecord): boolean => source !== '' && this.#options.source !== '' && source !== this.#options.source;
}
