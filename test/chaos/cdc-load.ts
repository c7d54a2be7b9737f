/**
 * Estuary's invariant: under random load each row goes 1, 2, 3, 4, deleted, 6, 7, 8. Several writers, each on a connection of its
 * own, in transactions of 1 to 10,000 changes, with savepoints and rollbacks; what was rolled back must never be seen.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { TestDatabase } from '../services/postgres.js';
import { randomOf, type Random } from './random.js';

/** `keyed`: identity by the key, large values unchanged in most updates. `full`: REPLICA IDENTITY FULL. `parts`: a partitioned root. */
export const tables = ['keyed', 'full', 'parts'] as const;
export type LoadTable = (typeof tables)[number];

export const lastStep = 8;
/** The step at which the row is not there. */
export const deletedStep = 5;
/** Rows of one block go through the steps together; the ids of block n begin at n * blockSpan. */
export const blockSpan = 10_000;

/** What steps a block holds is known to the database alone, in the transaction of the step itself: a commit may be lost on its way to us. */
const schema = `
  CREATE TABLE keyed (id bigint PRIMARY KEY, counter int NOT NULL, body text NOT NULL, pad text);
  ALTER TABLE keyed ALTER pad SET STORAGE EXTERNAL;
  CREATE TABLE "full" (id bigint PRIMARY KEY, counter int NOT NULL, body text NOT NULL, pad text);
  ALTER TABLE "full" ALTER pad SET STORAGE EXTERNAL;
  ALTER TABLE "full" REPLICA IDENTITY FULL;
  CREATE TABLE parts (id bigint PRIMARY KEY, counter int NOT NULL, body text NOT NULL, pad text) PARTITION BY HASH (id);
  CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
  CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
  CREATE SCHEMA aside;
  CREATE TABLE aside.blocks (block bigint PRIMARY KEY, writer int NOT NULL, name text NOT NULL, size int NOT NULL, step int NOT NULL);`;

/** SQL over `id` and `step`; each life of a row has another `pad`. Every seventh row has one, too large to stay in its page. */
export const bodyOf = (id: string, step: string): string => `md5(${id}::text || ':' || ${step}::text)`;
export const padOf = (id: string, life: 1 | 6): string => `CASE WHEN ${id} % 7 = 0 THEN repeat(md5(${id}::text || '/${life}'), 80) END`;

/** Found in no row that was committed. */
export const rolledBack = 1_000;

interface Block {
  readonly block: number;
  readonly name: LoadTable;
  readonly size: number;
  step: number;
}

export interface LoadOptions {
  readonly seed: string;
  readonly writers?: number;
  /** A writer rests so long between two transactions, at most. */
  readonly pauseMs?: number;
  /** How many changes its largest transactions have. */
  readonly largest?: number;
}

export interface Tally {
  transactions: number;
  changes: number;
  largest: number;
  rollbacks: number;
  savepoints: number;
  lostConnections: number;
}

export interface CdcLoad {
  readonly tally: Readonly<Tally>;
  /** Writes until the signal comes; comes back by itself when the server was away. */
  write(signal: AbortSignal): Promise<void>;
  /** Writes `count` transactions a writer. */
  transactions(count: number): Promise<void>;
  /** Brings every row to its last step. */
  finish(): Promise<void>;
  /** Rows of this block and of later ones are not there yet. */
  nextBlock(): Promise<number>;
}

export async function createLoad(database: TestDatabase, options: LoadOptions): Promise<CdcLoad> {
  await database.query(schema);
  const tally: Tally = { transactions: 0, changes: 0, largest: 0, rollbacks: 0, savepoints: 0, lostConnections: 0 };
  const writers = Array.from({ length: options.writers ?? 3 }, (_, number) => new Writer(database, { ...options, number, tally }));
  return {
    tally,
    write: async (signal) => void (await Promise.all(writers.map((writer) => writer.run(() => !signal.aborted)))),
    transactions: async (count) => void (await Promise.all(writers.map((writer) => writer.run((done) => done < count)))),
    finish: async () => void (await Promise.all(writers.map((writer) => writer.finish()))),
    async nextBlock() {
      const [row] = await database.query<{ next: string }>('SELECT coalesce(max(block) + 1, 1) AS next FROM aside.blocks');
      return Number(row!.next);
    },
  };
}

interface WriterOptions extends LoadOptions {
  readonly number: number;
  readonly tally: Tally;
}

/** Has blocks of its own, so that it waits for nobody. */
class Writer {
  readonly #database: TestDatabase;
  readonly #options: WriterOptions;
  readonly #random: Random;
  #blocks: Block[] = [];
  #next: number;
  #done = 0;
  #client: pg.Client | undefined;

  constructor(database: TestDatabase, options: WriterOptions) {
    this.#database = database;
    this.#options = options;
    this.#random = randomOf(`${options.seed} writer ${options.number}`);
    this.#next = options.number + 1;
  }

  async run(goesOn: (done: number) => boolean): Promise<void> {
    let done = 0;
    while (goesOn(done)) {
      if (await this.#patiently((client) => this.#transaction(client, this.#plan(this.#size())))) {
        done++;
        this.#done++;
      }
      await sleep(this.#random.below(this.#options.pauseMs ?? 20));
    }
    await this.#close();
  }

  async finish(): Promise<void> {
    while (!(await this.#patiently(async (client) => {
      for (const block of this.#blocks) {
        if (block.step === lastStep) continue;
        await client.query('BEGIN');
        while (block.step < lastStep) await this.#step(client, block);
        await client.query('COMMIT');
      }
    })));
    await this.#close();
  }

  /** Most transactions are small, some are not, and now and then comes one as large as they get. */
  #size(): number {
    const random = this.#random;
    const { largest = 10_000, number } = this.#options;
    if (number === 0 && this.#done % 300 === 9) return largest;
    const scale = random.below(100);
    return 1 + random.below(scale < 50 ? 3 : scale < 85 ? 30 : Math.min(scale < 98 ? 300 : 2_000, largest));
  }

  /** What a transaction does: a step of one block after another, of old and of new ones, several steps of one block among them. */
  #plan(changes: number): Block[] {
    const random = this.#random;
    const steps: Block[] = [];
    const open = this.#blocks.filter((block) => block.step < lastStep);
    let left = changes;
    while (left > 0) {
      const old = open.filter((block) => block.size <= left && block.step + steps.filter((one) => one === block).length < lastStep);
      let block = old.length > 0 && random.below(8) > 0 ? random.pick(old) : undefined;
      if (!block) {
        block = { block: this.#next, name: random.pick(tables), size: Math.max(1, Math.ceil(left / (1 + random.below(8)))), step: 0 };
        this.#next += this.#options.writers ?? 3;
        open.push(block);
      }
      steps.push(block);
      left -= block.size;
    }
    return steps;
  }

  async #transaction(client: pg.Client, steps: readonly Block[]): Promise<void> {
    const { tally } = this.#options;
    const random = this.#random;
    const before = new Map(steps.map((block) => [block, block.step]));
    const size = steps.reduce((sum, block) => sum + block.size, 0);
    const rollsBack = random.below(8) === 0;
    await client.query('BEGIN');
    for (const block of steps) {
      // Large ones are spared the double work.
      if (size < 1_000 && random.below(4) === 0) {
        tally.savepoints++;
        await client.query('SAVEPOINT aside');
        await client.query(this.#poison(block));
        await client.query('ROLLBACK TO SAVEPOINT aside');
      }
      // A step of its own subtransaction belongs to the whole.
      const nested = random.below(5) === 0;
      if (nested) await client.query('SAVEPOINT within');
      await this.#step(client, block);
      if (nested) await client.query('RELEASE SAVEPOINT within');
    }
    if (rollsBack) {
      tally.rollbacks++;
      for (const block of new Set(steps)) await client.query(this.#poison(block));
      await client.query('ROLLBACK');
      for (const [block, step] of before) block.step = step;
      return;
    }
    await client.query('COMMIT');
    tally.transactions++;
    tally.changes += size;
    tally.largest = Math.max(tally.largest, size);
    for (const block of before.keys()) if (!this.#blocks.includes(block)) this.#blocks.push(block);
    this.#blocks = this.#blocks.filter((block) => block.step < lastStep);
  }

  async #step(client: pg.Client, block: Block): Promise<void> {
    const step = ++block.step;
    const from = block.block * blockSpan;
    const where = `id BETWEEN ${from} AND ${from + block.size - 1}`;
    const table = `"${block.name}"`;
    if (step === 1 || step === 6) {
      await client.query(`INSERT INTO ${table} SELECT id, ${step}, ${bodyOf('id', String(step))}, ${padOf('id', step)} FROM generate_series(${from}, ${from + block.size - 1}) AS id`);
    } else if (step === deletedStep) await client.query(`DELETE FROM ${table} WHERE ${where}`);
    else await client.query(`UPDATE ${table} SET counter = ${step}, body = ${bodyOf('id', String(step))} WHERE ${where}`);
    await client.query(
      `INSERT INTO aside.blocks VALUES (${block.block}, ${this.#options.number}, '${block.name}', ${block.size}, ${step}) ON CONFLICT (block) DO UPDATE SET step = excluded.step`,
    );
  }

  /** Whatever it does to the rows of this block, nobody may see it. */
  #poison(block: Block): string {
    const from = block.block * blockSpan;
    const where = `id BETWEEN ${from} AND ${from + block.size - 1}`;
    const table = `"${block.name}"`;
    switch (this.#random.below(3)) {
      case 0: return `UPDATE ${table} SET counter = ${rolledBack}, body = 'rolled back' WHERE ${where}`;
      case 1: return `DELETE FROM ${table} WHERE ${where}`;
      default: return `INSERT INTO ${table} VALUES (${-from}, ${rolledBack}, 'rolled back', NULL)`;
    }
  }

  /** Gives whether the work was done. If the server went away in the middle, asks it afterwards how far our blocks are. */
  async #patiently(work: (client: pg.Client) => Promise<void>): Promise<boolean> {
    try {
      this.#client ??= await this.#connect();
      await work(this.#client);
      return true;
    } catch (error) {
      await this.#close();
      // A statement that the server refuses is a mistake in here, not a fault of the server's.
      const code = (error as { code?: string }).code ?? '';
      if (/^[0-9A-Z]{5}$/.test(code) && !/^(08|57)/.test(code)) throw error;
      this.#options.tally.lostConnections++;
      await sleep(100);
      return false;
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = await this.#database.connect();
    try {
      const { rows } = await client.query<{ block: string; name: LoadTable; size: number; step: number }>(
        `SELECT block, name, size, step FROM aside.blocks WHERE writer = ${this.#options.number} AND step < ${lastStep} ORDER BY block`,
      );
      this.#blocks = rows.map((row) => ({ ...row, block: Number(row.block) }));
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
  }

  async #close(): Promise<void> {
    await this.#client?.end().catch(() => {});
    this.#client = undefined;
  }
}
