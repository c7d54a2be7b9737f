/** A {@link Sink} that keeps rows in memory and follows the contract of generations and states, and nothing else. For property tests. */
import { streamKey, type Checkpoint } from '@tapline/protocol';
import type { SeenRow } from './ingest/random-history.test.support.js';
import { generationKey } from './commit/head.js';
import { planGenerations, replacedNow } from './commit/plan-commit.js';
import { join } from 'node:path';
import type { Engine } from './convert/engine.js';
import { sqlString } from './convert/value-sql.js';
import { moveFile } from './move-file.js';
import { readAll } from './read-parquet.test.support.js';
import type { Commit, CommitReport, ParquetFile, Sink, Staged, StagedBatches, StreamSchema } from './sink.js';

interface KeptRow extends SeenRow {
  readonly rawId: string;
  readonly order: string;
}

/** All that a commit changes at once. */
interface Stored {
  readonly seq: number;
  readonly stateId: number;
  readonly states: readonly string[];
  readonly generations: Readonly<Record<string, number>>;
  readonly minimums: Readonly<Record<string, number>>;
  /** By `stream#generation`. */
  readonly open: ReadonlyMap<string, readonly KeptRow[]>;
  readonly visible: ReadonlyMap<string, readonly KeptRow[]>;
}

export class ModelSink implements Sink {
  /** Throw in it to lose a commit, before or after it has happened. `nth` counts from 1 in each run. */
  onCommit: (nth: number, when: 'before' | 'after') => void = () => undefined;
  /** Of all commits that were reported. */
  nulledValues = 0;
  #stored: Stored = { seq: 0, stateId: 0, states: [], generations: {}, minimums: {}, open: new Map(), visible: new Map() };
  #commits = 0;
  #files = 0;
  #batches = 0;
  readonly #staged = new Map<string, readonly KeptRow[]>();
  #configured = new Map<string, StreamSchema>();

  async open() {
    this.#commits = 0;
    this.#configured = new Map();
    this.#staged.clear();
    const { seq, states, stateId, generations, open } = this.#stored;
    const checkpoint: Checkpoint = {
      seq, states: [...states], state_id: stateId, source: '', generations: { ...generations },
      open_generations: Object.fromEntries([...open.keys()].map((key) => key.split('#') as [string, string]).map(([stream, generation]) => [stream, Number(generation)])),
    };
    return { epoch: 1, seq, checkpoint: seq === 0 ? null : checkpoint };
  }

  configure(schema: StreamSchema): void {
    this.#configured.set(streamKey(schema.configured.stream), schema);
  }

  /** `engine`: it takes batches as they are, and reads their rows by it. */
  constructor(direct?: { readonly engine: Engine; readonly folder: string }) {
    if (direct) this.stageBatches = (batches) => this.#stageBatches(batches, direct);
  }

  readonly stageBatches?: (batches: StagedBatches) => Promise<Staged>;

  async #stageBatches({ paths, select, ...file }: StagedBatches, { engine, folder }: { readonly engine: Engine; readonly folder: string }): Promise<Staged> {
    const batch = ++this.#batches;
    const moved = paths.map((_, i) => join(folder, `${batch}-${i}.parquet`));
    for (const [i, path] of paths.entries()) await moveFile(path, moved[i]!);
    const path = join(folder, `${batch}.parquet`);
    await engine.run(`COPY (${select(moved)}) TO ${sqlString(path)} (FORMAT parquet)`, 0);
    const staged = await this.stage({ ...file, path });
    if (staged.rows !== this.#staged.get(staged.name)!.length) throw new Error('batches have other rows than they say');
    return staged;
  }

  async stage({ path, ...file }: ParquetFile): Promise<Staged> {
    if (!this.#configured.has(streamKey(file.stream))) throw new Error('a file of a stream that was not configured');
    const name = `${++this.#files}`;
    const newest = file.schema.plan.columns.map((column) => column.name).findLast((column) => /^c\d+$/.test(column));
    const rows = (await readAll([path])).map((row): KeptRow => {
      if (('_tapline_unchanged' in row) !== file.unchanged) throw new Error('a file does not say that it tells what is unchanged');
      return {
        id: Number(row['id']), generation: Number(row['_airbyte_generation_id']), newest: newest === undefined ? null : Number(row[newest]),
        unchanged: (row['_tapline_unchanged'] as string | null | undefined) ?? null, rawId: String(row['_airbyte_raw_id']), order: String(row['_tapline_order']),
      };
    });
    this.#staged.set(name, rows);
    return { ...file, name };
  }

  async commit(commit: Commit): Promise<CommitReport> {
    this.#commits++;
    this.onCommit(this.#commits, 'before');
    if (commit.seq !== this.#stored.seq + 1) throw new Error(`commit ${commit.seq} after ${this.#stored.seq}`);
    this.#stored = this.#after(commit);
    this.onCommit(this.#commits, 'after');
    const nulledValues = commit.seq % 3;
    this.nulledValues += nulledValues;
    return { nulledValues };
  }

  async publish(): Promise<void> {
    // The commit showed everything.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }

  #after(commit: Commit): Stored {
    const { generations: known, minimums: before, open, visible } = this.#stored;
    const deferred = Object.fromEntries([...open.keys()].map((key) => [key, []]));
    const plan = planGenerations({ generations: known, minimums: before, deferred }, commit);
    const kept = new Map(Object.keys(plan.deferred).map((key) => [key, plan.restarted.has(key.split('#')[0]!) && !open.has(key) ? [] : (open.get(key) ?? [])]));
    const shown = new Map(visible);
    for (const { name, stream, generation } of commit.staged) {
      const key = streamKey(stream);
      const of = generationKey(key, generation);
      const rows = this.#staged.get(name)!;
      if (kept.has(of)) kept.set(of, [...kept.get(of)!, ...rows]);
      else if (!plan.superseded.has(of) && !replacedNow(plan, key, generation)) shown.set(key, [...(shown.get(key) ?? []), ...rows]);
    }
    const minimums = { ...plan.minimums };
    for (const { key, stream, minimum } of plan.completions) {
      const all = [...(shown.get(streamKey(stream)) ?? []), ...(kept.get(key) ?? [])];
      shown.set(streamKey(stream), all.filter((row) => row.generation >= minimum));
      kept.delete(key);
      delete minimums[key];
    }
    return { seq: commit.seq, stateId: commit.stateId, states: commit.states, generations: plan.generations, minimums, open: kept, visible: shown };
  }

  /** Place in the history of the last state that covers the stream; -1 = none. */
  positionOf(stream: string): number {
    const places = this.#stored.states.flatMap((state) => {
      const { type, global, stream: own } = JSON.parse(state) as { type: string; global?: { shared_state: { at: number } }; stream?: { stream_descriptor: { name: string }; stream_state: { at: number } } };
      if (type === 'GLOBAL') return [global!.shared_state.at];
      return own!.stream_descriptor.name === stream ? [own!.stream_state.at] : [];
    });
    return Math.max(-1, ...places);
  }

  /** In the order of `_tapline_order`. */
  visible(stream: string): SeenRow[] {
    return [...(this.#stored.visible.get(stream) ?? [])]
      .sort((a, b) => (a.order < b.order ? -1 : 1))
      .map(({ id, generation, newest, unchanged }) => ({ id, generation, newest, unchanged }));
  }

  /** `_airbyte_raw_id` of all rows, streams apart: unique within each. */
  rowIds(): string[] {
    return [...this.#stored.visible].flatMap(([stream, rows]) => rows.map(({ rawId }) => `${stream} ${rawId}`));
  }
}
