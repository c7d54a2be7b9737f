/**
 * The checkpoint of a sync, a row of `_tapline._tapline_checkpoint`: whose turn it is, how far its source has come, and which
 * generations are open. Every commit begins with its row, which fences: a writer whose epoch is gone finds no row, and whoever
 * holds the row's lock is the only one.
 */
import { configError, type Checkpoint } from '@tapline/protocol';
import { fenced, parseGenerationKey } from '@tapline/columnar';
import type { ColumnType, NewColumn, TableName } from '../dialects/dialect.js';
import { ownSchema } from '../tables/names.js';
import { ensureOwnTable } from '../tables/own-table.js';
import type { Row, Warehouse } from '../warehouse.js';

export interface SyncRecord {
  readonly epoch: number;
  /** Number of the last commit, 0 = none. */
  readonly seq: number;
  readonly stateId: number;
  /** Identity of the source, '' = unknown. */
  readonly source: string;
  /** Raw text of STATE bodies. */
  readonly states: readonly string[];
  /** Highest generation seen, by stream key. */
  readonly generations: Readonly<Record<string, number>>;
  /** Of open generations (`stream#generation`): rows of lower ones leave when it completes. */
  readonly open: Readonly<Record<string, number>>;
}

const name: TableName = { schema: ownSchema, table: '_tapline_checkpoint' };
const columnsOf = (type: ColumnType, names: readonly string[]): NewColumn[] => names.map((column) => ({ name: column, type, nullable: false }));
const columns: readonly NewColumn[] = [
  ...columnsOf({ kind: 'text' }, ['sync']), ...columnsOf({ kind: 'int', bits: 64 }, ['epoch', 'seq', 'state_id']),
  ...columnsOf({ kind: 'text' }, ['source', 'states', 'generations', 'open_generations']),
];

export class CheckpointTable {
  readonly #warehouse: Warehouse;
  readonly #sync: string;
  readonly #table: string;

  constructor(warehouse: Warehouse, sync: string) {
    this.#warehouse = warehouse;
    this.#sync = sync;
    this.#table = warehouse.dialect.table(name);
  }

  /** Fences older writers by an epoch of our own. */
  async takeOver(): Promise<SyncRecord> {
    await ensureOwnTable(this.#warehouse, name, columns, ['sync']);
    const claim = async (): Promise<Row[]> => {
      let failure: unknown;
      await this.#warehouse.run(
        `INSERT INTO ${this.#table} (sync, epoch, seq, state_id, source, states, generations, open_generations) `
        + `SELECT $1, 0, 0, 0, '', '[]', '{}', '{}' WHERE NOT EXISTS (SELECT 1 FROM ${this.#table} WHERE sync = $1)`,
        [this.#sync],
        // Two that are the first begin at once: the row is there then.
      ).catch((error: unknown) => (failure = error));
      const rows = await this.#warehouse.run(`UPDATE ${this.#table} SET epoch = epoch + 1 WHERE sync = $1 RETURNING *`, [this.#sync]);
      if (rows.length === 0) throw failure;
      return rows;
    };
    const rows = await claim().catch(async (error: unknown) => {
      // A writer that was stopped in the middle of its commit holds the row, perhaps for good.
      if ((error as { code?: unknown }).code !== 'locked' || !(await this.#warehouse.endHungWriter?.(this.#sync))) throw error;
      return await claim();
    });
    return this.#parse(rows[0]!);
  }

  /** The first step of every transaction, which locks the row: rejects if another writer took over. */
  async claim({ epoch }: SyncRecord): Promise<void> {
    const rows = await this.#warehouse.run(`UPDATE ${this.#table} SET epoch = $2 WHERE sync = $1 AND epoch = $2 RETURNING epoch`, [this.#sync, epoch]);
    if (rows.length === 0) throw fenced(this.#sync, this.#warehouse.location);
  }

  /** The last step of a commit. */
  async save(record: SyncRecord): Promise<void> {
    await this.#warehouse.run(
      `UPDATE ${this.#table} SET seq = $3, state_id = $4, source = $5, states = $6, generations = $7, open_generations = $8 WHERE sync = $1 AND epoch = $2`,
      [this.#sync, record.epoch, record.seq, record.stateId, record.source, JSON.stringify(record.states), JSON.stringify(record.generations), JSON.stringify(record.open)],
    );
  }

  /** What is there, without taking over; undefined = nothing of this sync. */
  async read(): Promise<SyncRecord | undefined> {
    const [row] = await this.#warehouse.run(`SELECT * FROM ${this.#table} WHERE sync = $1`, [this.#sync]);
    return row && this.#parse(row);
  }

  #parse(row: Row): SyncRecord {
    try {
      return {
        epoch: Number(row['epoch']), seq: Number(row['seq']), stateId: Number(row['state_id']), source: String(row['source']),
        states: JSON.parse(String(row['states'])) as string[],
        generations: JSON.parse(String(row['generations'])) as Record<string, number>,
        open: JSON.parse(String(row['open_generations'])) as Record<string, number>,
      };
    } catch (error) {
      throw configError(
        `the row of the sync ${this.#sync} in ${this.#table} at ${this.#warehouse.location} is damaged. Restore it from a backup: without it, it is not known what the tables hold`,
        { code: 'checkpoint_damaged', cause: error },
      );
    }
  }
}

export function checkpointOf(record: SyncRecord): Checkpoint | null {
  if (record.seq === 0) return null;
  return {
    state_id: record.stateId,
    source: record.source,
    states: [...record.states],
    generations: { ...record.generations },
    open_generations: Object.fromEntries(Object.keys(record.open).map((key) => {
      const { stream, generation } = parseGenerationKey(key);
      return [stream, generation];
    })),
  };
}
