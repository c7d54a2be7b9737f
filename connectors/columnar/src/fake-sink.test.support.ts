/** An in-memory Sink that records its calls in order and keeps the Parquet files. For tests of ordering only. */
import { copyFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Checkpoint, StreamDescriptor } from '@tapline/protocol';
import type { Commit, CommitReport, ParquetFile, Sink, Staged, StreamSchema } from './sink.js';

export class FakeSink implements Sink {
  readonly calls: string[] = [];
  readonly commits: Commit[] = [];
  readonly files = new Map<string, string>();
  readonly schemas: StreamSchema[] = [];
  /** What commits answer, by their seq. */
  readonly reports = new Map<number, CommitReport>();
  /** Streams of which it keeps the history. */
  readonly histories = new Set<string>();
  checkpoint: Checkpoint | null = null;
  seq = 0;
  /** Awaited in each call; throw in it to fail the call. */
  hook: (call: string) => Promise<void> | void = () => undefined;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async open() {
    await this.#call('open');
    return { epoch: 1, checkpoint: this.checkpoint, seq: this.seq };
  }

  configure(schema: StreamSchema): void {
    this.schemas.push(schema);
  }

  keepsReplaced({ name }: StreamDescriptor): boolean {
    return this.histories.has(name);
  }

  async stage({ path, ...file }: ParquetFile): Promise<Staged> {
    const name = `${this.files.size}-${basename(path)}`;
    this.files.set(name, join(this.#folder, name));
    await copyFile(path, join(this.#folder, name));
    await this.#call(`stage ${file.stream.name} ${file.rows}`);
    return { ...file, name };
  }

  async commit(commit: Commit): Promise<CommitReport | undefined> {
    await this.#call(`commit ${commit.seq}`);
    this.commits.push(commit);
    return this.reports.get(commit.seq);
  }

  publish(): Promise<void> {
    return this.#call('publish');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#call('dispose');
  }

  /** Paths of all files of the commits, in order. */
  committed(stream?: string): string[] {
    return this.commits.flatMap((commit) => commit.staged.filter((file) => stream === undefined || file.stream.name === stream).map((file) => this.files.get(file.name)!));
  }

  async #call(name: string): Promise<void> {
    this.calls.push(name);
    await this.hook(name);
  }
}
