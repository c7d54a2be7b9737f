/** Random histories of a source, delivered in random batches as a copy beside a stream delivers them, and compared after each commit. */
import { expect } from 'vitest';
import type { TableName } from '../dialects/dialect.js';
import { runAll } from '../run-all.js';
import type { TableShape } from '../tables/shape.js';
import type { Warehouse } from '../warehouse.js';
import { changeTypes, ChangingSource, type SourceRow } from './changes.test.support.js';
import { versionsOf } from './history-model.test.support.js';
import { make, openForm, Random, rowsIn, shapeOf, sorted, table, type ShapeOptions, type Staging, type Values } from './load.test.support.js';
import { TableWriter } from './table-writer.js';

/** Where the histories go, one after the other. */
export interface Place {
  readonly warehouse: Warehouse;
  readonly staging: Staging;
}

/** Called where readers see what was delivered. */
type Check = (state: { readonly warehouse: Warehouse; readonly shape: TableShape; readonly source: ChangingSource; readonly replaced: ReadonlySet<number>; readonly message: string }) => Promise<void>;

const openTable: TableName = { schema: 'sales', table: '_tapline_open' };

interface RunOptions {
  readonly seed: number;
  readonly place: Place;
  readonly form: Pick<ShapeOptions, 'write' | 'deletes'>;
  readonly check: Check;
}

/** Two generations, each copied while changes come, and changes after it. */
async function run({ seed, place: { warehouse, staging }, form, check }: RunOptions): Promise<void> {
  const random = new Random(seed);
  const source = new ChangingSource(random, 3 + random.below(8));
  const shape = shapeOf({ ...form, types: changeTypes, key: ['id'], primaryKey: form.write === 'merge' });
  const writer = new TableWriter({ warehouse, badValues: 'null', run: 'r1' });
  const replaced = new Set<number>();

  // Several steps may be one commit: a generation that begins, is filled and completes in it, and changes after it.
  let joined = false;
  const commit = async (work: () => Promise<void>): Promise<void> => (joined ? work() : warehouse.transaction(work));
  const together = async (isJoined: boolean, work: () => Promise<void>): Promise<void> => {
    if (!isJoined) return work();
    joined = true;
    await warehouse.transaction(work).finally(() => (joined = false));
  };

  const write = async (records: readonly Values[], to: TableName, isOpen: boolean): Promise<void> => {
    if (records.length === 0) return;
    // Several files a commit, and records in any order in them.
    const mixed = random.shuffle(records);
    const cut = random.below(mixed.length + 1);
    const parts = [mixed.slice(0, cut), mixed.slice(cut)].filter((part) => part.length > 0);
    const files = await Promise.all(parts.map((part) => staging.file(shape, part)));
    await commit(async () => {
      const report = await writer.write({ shape, table: to, open: isOpen, files });
      expect(report.rows).toBe(records.length);
      expect(report.nulled, `seed ${seed}`).toBe(0);
    });
  };
  const changes = (): Values[] => Array.from({ length: random.below(6) }, () => source.transaction()).flat();

  for (const name of [table, openTable]) await runAll(warehouse, warehouse.dialect.dropTable(name));
  for (let i = random.below(10); i > 0; i--) source.transaction();
  source.entries.length = 0;
  for (const generation of [1, 2]) {
    source.generation = generation;
    const replace = generation === 1 || random.chance(60);
    if (replace) replaced.add(generation);
    await together(random.chance(35), async () => {
      await commit(async () => {
        await make(warehouse, openForm(shape), openTable);
        if (generation === 1 && form.write === 'history') await make(warehouse, shape, table);
      });
      const late = random.shuffle(source.copy());
      for (let batch = random.below(5); batch >= 0; batch--) {
        const copied = late.splice(0, batch === 0 ? late.length : random.below(late.length + 1));
        await write([...changes(), ...copied], openTable, true);
      }
      await commit(async () => {
        const completed = await writer.complete({ shape, from: openTable, into: table, replace });
        expect(completed).toEqual({ nulled: 0, keyHeldNull: false });
      });
      if (random.chance(50)) await write(changes(), table, false);
    });
    await check({ warehouse, shape, source, replaced, message: `seed ${seed}, generation ${generation} completed` });
    for (let batch = random.below(5); batch > 0; batch--) {
      await write(changes(), table, false);
      await check({ warehouse, shape, source, replaced, message: `seed ${seed}, generation ${generation}, ${batch} to go` });
    }
  }
}

const asText = (value: string | number | null | undefined): string | null => (value === null || value === undefined ? null : String(value));
const data = ['id', 'n', 'body', 'note'] as const;
const dataOf = (row: SourceRow | undefined): Record<string, string | null> => Object.fromEntries(data.map((name) => [name, asText(row?.[name])]));

export const generationsMerged = (seed: number, place: Place): Promise<void> => run({
  seed, place, form: { write: 'merge', deletes: 'hard' },
  async check({ warehouse, shape, source, message }) {
    expect(sorted(await rowsIn(warehouse, shape, data)), message).toEqual(sorted([...source.rows.values()].map(dataOf)));
  },
});

/** Keys that were deleted before the rows of the last generation were copied need not be there. */
export const deletionsKept = (seed: number, place: Place): Promise<void> => run({
  seed, place, form: { write: 'merge', deletes: 'soft' },
  async check({ warehouse, shape, source, message }) {
    const rows = await rowsIn(warehouse, shape, [...data, '_ab_cdc_deleted_at']);
    const living = rows.filter((row) => row['_ab_cdc_deleted_at'] === null);
    expect(sorted(living), message).toEqual(sorted([...source.rows.values()].map((row) => ({ ...dataOf(row), _ab_cdc_deleted_at: null }))));
    const gone = sorted([...source.deleted.values()].map(({ row, time }) => ({ ...dataOf(row), _ab_cdc_deleted_at: String(time) })));
    const dead = sorted(rows.filter((row) => row['_ab_cdc_deleted_at'] !== null));
    expect(new Set(rows.map((row) => row['id'])).size, message).toBe(rows.length);
    expect(gone, message).toEqual(expect.arrayContaining(dead));
    const told = source.entries.filter((entry) => entry.generation === source.generation && entry.row === undefined);
    for (const { key } of told) expect(rows.some((row) => row['id'] === String(key)), `${message}: ${key} was deleted, and is told`).toBe(true);
  },
});

export const historiesKept = (seed: number, place: Place): Promise<void> => run({
  seed, place, form: { write: 'history', deletes: 'hard' },
  async check({ warehouse, shape, source, replaced, message }) {
    const rows = await rowsIn(warehouse, shape, [...data, 'valid_from', 'valid_to', 'is_current']);
    const expected = versionsOf(source.entries, replaced).map(({ entry, from, to }) =>
      ({ ...dataOf(entry.row), valid_from: String(from), valid_to: asText(to), is_current: String(to === null) }));
    expect(sorted(rows), message).toEqual(sorted(expected));
    requireLives(rows, source.rows.keys(), message);
  },
});

/** One current version of each living key, none of others; no overlaps. */
function requireLives(rows: readonly Record<string, string | null>[], living: Iterable<number>, message: string): void {
  const current = rows.filter((row) => row['is_current'] === 'true');
  expect(current.map((row) => Number(row['id'])).sort((a, b) => a - b), message).toEqual([...living].sort((a, b) => a - b));
  for (const id of new Set(rows.map((row) => row['id']))) {
    const spans = rows.filter((row) => row['id'] === id).map((row) => [Number(row['valid_from']), row['valid_to'] === null ? Infinity : Number(row['valid_to'])] as const);
    spans.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    spans.forEach(([from, to], i) => {
      expect(from, message).toBeLessThanOrEqual(to);
      if (i > 0) expect(spans[i - 1]![1], `${message}: versions of ${id} overlap`).toBeLessThanOrEqual(from);
    });
  }
}
