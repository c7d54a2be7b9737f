/** Spools to durable objects: converts, stages and deletes, each spool once, some at a time. */
import { rm } from 'node:fs/promises';
import { failpoint } from '@tapline/protocol';
import type { ConvertRequest } from '../convert/convert-request.js';
import type { Converter } from '../convert/convert.js';
import type { Sink, Staged } from '../sink.js';
import type { Lane } from './lane.js';
import type { Spool } from './spool.js';

/** Spools worked on at a time. More than conversions run: the disk is waited for meanwhile. A thousand at once would need as many files open. */
const atOnce = 8;

export class Stager {
  readonly #converter: Converter;
  readonly #sink: Sink;
  readonly #sync8: string;
  readonly #started = new Map<Spool, Promise<Staged[]>>();
  readonly #unfinished = new Set<Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #unfinishedBytes = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(converter: Converter, sink: Sink, sync8: string) {
    this.#converter = converter;
    this.#sink = sink;
    this.#sync8 = sync8;
  }

  /** The spool must be placed and take no more rows. `waits`: its commit may be far away. Asking again gives the same answer. */
  start(spool: Spool, lane: Lane, waits: boolean): Promise<Staged[]> {
    let staging = this.#started.get(spool);
    if (!staging) {
      const bytes = spool.bytes;
      staging = this.#inTurn(() => this.#stage(spool, lane, waits));
      this.#started.set(spool, staging);
      this.#unfinished.add(staging);
      this.#unfinishedBytes += bytes;
      const settled = (): void => {
        this.#unfinished.delete(staging!);
        this.#unfinishedBytes -= bytes;
      };
      staging.then(settled, settled);
    }
    return staging;
  }

  /** The answer was taken over: it need not be kept. */
  forget(spool: Spool): void {
    this.#started.delete(spool);
  }

  /** Spools that are being worked on, or wait for it. */
  get unfinished(): number {
    return this.#unfinished.size;
  }

  /** Bytes of their rows, as they came. */
  get unfinishedBytes(): number {
    return this.#unfinishedBytes;
  }

  /** Resolves when one of them is done, or has failed. */
  async someFinished(): Promise<void> {
    await Promise.race(this.#unfinished).catch(() => undefined);
  }

  async allSettled(): Promise<void> {
    await Promise.allSettled(this.#unfinished);
  }

  /** Once one has failed, what waits is not begun any more: the run is at its end. */
  async #inTurn(work: () => Promise<Staged[]>): Promise<Staged[]> {
    if (this.#running < atOnce) this.#running++;
    else await new Promise<void>((start) => this.#waiting.push(start));
    try {
      if (this.#failure) throw this.#failure.error;
      return await work();
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }

  async #stage(spool: Spool, lane: Lane, waits: boolean): Promise<Staged[]> {
    await spool.write();
    const { schema, generation, unchanged, input } = spool;
    const { seq, firstRow } = spool.position!;
    const request: Omit<ConvertRequest, 'input'> = {
      stream: lane.stream,
      plan: spool.schema.plan,
      partition: lane.partition,
      unchanged,
      stamp: {
        rawIdPrefix: `${this.#sync8}-${String(spool.generation).padStart(4, '0')}-`,
        generation: spool.generation, syncId: lane.syncId, seq, firstRow, now: Date.now(),
      },
    };
    const row = { stream: lane.stream, schema, generation, unchanged };
    if ('files' in input && this.#sink.stageBatches && !lane.partition) {
      const { select, extra, plain } = await this.#converter.batchRows({ ...request, input });
      const taken = await this.#sink.stageBatches({ ...row, rows: spool.rows, bytes: spool.bytes, partition: '', extra, paths: input.files.map(({ path }) => path), waits, select, plain });
      failpoint('dest.after_batch');
      return [taken];
    }
    const files = await this.#converter.convert({ ...request, input });
    await spool.remove();
    if ('files' in input) failpoint('dest.after_batch');
    lane.learnRatio(spool, files.reduce((sum, file) => sum + file.bytes, 0));
    // One after the other: the next spool is converted meanwhile, and a store seldom takes two files faster than one.
    const staged: Staged[] = [];
    for (const { path, rows, bytes, partition, extra } of files) {
      staged.push(await this.#sink.stage({ ...row, path, rows, bytes, partition, extra }));
      await rm(path, { force: true });
    }
    return staged;
  }
}
