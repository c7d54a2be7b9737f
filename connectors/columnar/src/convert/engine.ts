/** The embedded DuckDB: told its limits, allowed to download nothing, opened at the first conversion. */
import type { DuckDBConnection } from '@duckdb/node-api';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { collectGarbage, cores, systemError } from '@tapline/protocol';
import { memoryLimit } from './memory.js';

export interface EngineOptions {
  /** Private and on disk: what does not fit into memory is spilled here. */
  readonly directory: string;
  /** Default: 128 MB a worker, at most half of what the process may use. */
  readonly memoryBytes?: number | undefined;
  /** Statements at a time, one core each. Default: the cores, at most 2, which is faster than any one source of lines. */
  readonly workers?: number | undefined;
}

export type Row = Readonly<Record<string, unknown>>;

const MB = 1 << 20;
/** A line of this length is converted alone: its copies are what memory holds then. */
const longLine = 4 * MB;
/** Reader, text, and writer each hold a line at once. */
const copiesOfLine = 8;

export class Engine implements AsyncDisposable {
  readonly #options: EngineOptions;
  readonly workers: number;
  readonly #memory: number;
  #granted = 0;
  #opening: Promise<DuckDBConnection[]> | undefined;
  #busy = 0;
  readonly #waiting: { readonly weight: number; readonly start: () => void }[] = [];

  constructor(options: EngineOptions) {
    this.#options = options;
    this.workers = options.workers ?? Math.min(cores(), 2);
    this.#memory = options.memoryBytes ?? Math.min(this.workers * 128 * MB, memoryLimit() / 2);
  }

  /** Opens it ahead of the first statement, which else waits some 200 ms for it. A failure is told by the first statement. */
  warm(): void {
    this.#opening ??= this.#open();
    this.#opening.catch(() => undefined);
  }

  /**
   * Runs one statement. Statements of up to `workers` callers run at a time; one that reads a very long line runs alone, with
   * more memory. Rejects with {@link ContentError} if the data is at fault.
   */
  async run(sql: string, longestLine: number): Promise<Row[]> {
    const long = longestLine > longLine;
    const weight = long ? this.workers : 1;
    await this.#enter(weight);
    if (long) collectGarbage();
    try {
      const connections = await (this.#opening ??= this.#open());
      const connection = connections.pop()!;
      try {
        await this.#grant(connection, long ? this.#memory + copiesOfLine * longestLine : this.#memory);
        return (await connection.runAndReadAll(sql)).getRowObjectsJson() as Row[];
      } finally {
        connections.push(connection);
      }
    } catch (error) {
      throw engineError(error);
    } finally {
      this.#leave(weight);
    }
  }

  /** Work that needs no engine, as one of the conversions at a time. */
  async inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.#enter(1);
    try {
      return await work();
    } finally {
      this.#leave(1);
    }
  }

  /** As {@link run}, alone and with all the memory there is: for what did not fit. */
  runAlone(sql: string): Promise<Row[]> {
    return this.run(sql, Math.max(longLine + 1, Math.floor((memoryLimit() * 0.6 - this.#memory) / copiesOfLine)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const connections = await this.#opening?.catch(() => []);
    for (const connection of connections ?? []) connection.closeSync();
  }

  async #open(): Promise<DuckDBConnection[]> {
    await mkdir(this.#options.directory, { recursive: true });
    const { DuckDBInstance } = await import('@duckdb/node-api');
    const instance = await DuckDBInstance.create(':memory:', {
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      // A row number makes the pipeline sequential anyway: cores are used by statements side by side.
      threads: '1',
      // Give memory back after each statement: what waits for reuse counts as ours.
      allocator_flush_threshold: '1MB',
      allocator_bulk_deallocation_flush_threshold: '1MB',
      temp_directory: join(this.#options.directory, 'spill'),
    });
    const connections: DuckDBConnection[] = [];
    for (let i = 0; i < this.workers; i++) {
      const connection = await instance.connect();
      await connection.run("SET TimeZone = 'UTC'");
      connections.push(connection);
    }
    return connections;
  }

  async #grant(connection: DuckDBConnection, bytes: number): Promise<void> {
    const limit = Math.floor(bytes);
    if (limit === this.#granted) return;
    this.#granted = limit;
    await connection.run(`SET memory_limit = '${limit}B'`);
  }

  #enter(weight: number): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#busy + weight <= this.workers) {
      this.#busy += weight;
      return undefined;
    }
    return new Promise((start) => this.#waiting.push({ weight, start }));
  }

  #leave(weight: number): void {
    this.#busy -= weight;
    for (let next = this.#waiting[0]; next && this.#busy + next.weight <= this.workers; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#busy += next.weight;
      next.start();
    }
  }
}

/** The engine refused what it was given to read. Its message may quote a value, so it stays out of ours. */
export class ContentError extends Error {}
/** It did not fit into the memory granted. */
export class MemoryError extends Error {}

/** DuckDB tells its kinds of errors by the first words of the message only. */
function engineError(error: unknown): unknown {
  const message = error instanceof Error ? error.message : String(error);
  if (/no space left on device|disk quota exceeded/i.test(message)) return Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  if (/permission denied|read-only file system/i.test(message)) return Object.assign(new Error('permission denied'), { code: 'EACCES' });
  if (message.startsWith('IO Error')) return systemError(`the engine could not read or write a file: ${message.split('\n', 1)[0]}`, { code: 'engine_io' });
  if (message.startsWith('Out of Memory')) return new MemoryError('out of memory');
  return new ContentError(message.split(':', 1)[0], { cause: error });
}
