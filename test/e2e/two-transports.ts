/** The same source into two destinations of a kind, by lines and by batches: what arrives is held against each other, value for value. */
import { onTestFinished } from 'vitest';
import { dirname } from 'node:path';
import { folderLake, parquetKeys } from '../harness/lake.js';
import { readParquet, type Value } from '../harness/parquet.js';
import { columnsIn, quoted, tablesIn, testWarehouse, type TestWarehouse, type WarehouseValue } from '../harness/warehouse.js';

export const kinds = ['lake', 'duckdb', 'postgres18'] as const;
export type Kind = (typeof kinds)[number];

/** Column to type, and the rows, of each table or folder by its name. */
type Landed = ReadonlyMap<string, { readonly columns: Readonly<Record<string, string>>; readonly rows: readonly Row[] }>;
type Row = Readonly<Record<string, Value | WarehouseValue>>;

export interface Side {
  readonly uri: string;
  landed(): Promise<Landed>;
}

/** Gone when the test is. */
export async function sideOf(kind: Kind): Promise<Side> {
  if (kind === 'lake') {
    const lake = await folderLake();
    onTestFinished(() => lake.dispose());
    return {
      uri: lake.uri,
      async landed() {
        const found = new Map<string, { columns: Record<string, string>; rows: Row[] }>();
        for (const key of await parquetKeys(lake)) {
          const { columns, rows } = await readParquet(await lake.read(key));
          const before = found.get(dirname(key));
          found.set(dirname(key), { columns: { ...before?.columns, ...columns }, rows: [...(before?.rows ?? []), ...rows] });
        }
        return found;
      },
    };
  }
  const at = await testWarehouse(kind);
  onTestFinished(() => at.dispose());
  return {
    uri: at.uri,
    async landed() {
      const found = new Map<string, { columns: Record<string, string>; rows: Row[] }>();
      for (const name of await tablesIn(at)) {
        const [schema, table] = [name.slice(0, name.indexOf('.')), name.slice(name.indexOf('.') + 1)];
        found.set(name, { columns: await columnsIn(at, schema, table), rows: await at.query(`SELECT * FROM ${quoted(schema, table)}`) });
      }
      found.set('quarantine', { columns: {}, rows: await quarantined(at) });
      return found;
    },
  };
}

async function quarantined(at: TestWarehouse): Promise<Row[]> {
  const there = await at.query(`SELECT 1 FROM information_schema.tables WHERE table_schema = '_tapline' AND table_name = '_tapline_quarantine'`);
  return there.length > 0 ? at.query('SELECT stream, key, field, reason FROM _tapline._tapline_quarantine') : [];
}

/** Ids and times of a run, and places in the log. */
const ofTheRun = new Set(['_airbyte_raw_id', '_airbyte_extracted_at', '_tapline_order', '_airbyte_generation_id', '_ab_cdc_lsn', '_ab_cdc_updated_at', 'valid_from']);

/** What differs; empty = nothing. */
export async function transportDifferences(byLines: Side, byBatches: Side): Promise<string[]> {
  const [lines, batches] = [await byLines.landed(), await byBatches.landed()];
  const found: string[] = [];
  for (const name of new Set([...lines.keys(), ...batches.keys()])) {
    const [one, other] = [lines.get(name), batches.get(name)];
    if (!one || !other) {
      found.push(`${name} is there by ${one ? 'lines' : 'batches'} only`);
      continue;
    }
    if (name !== 'quarantine') found.push(...broken(name, other.rows));
    const columns = [...new Set([...Object.keys(one.columns), ...Object.keys(other.columns)])];
    for (const column of columns) {
      if (one.columns[column] !== other.columns[column]) found.push(`${name}.${column} is ${one.columns[column]} by lines, ${other.columns[column]} by batches`);
    }
    if (String(Object.keys(one.columns)) !== String(Object.keys(other.columns))) found.push(`${name}: columns in another order`);
    found.push(...rowDifferences(name, one.rows, other.rows));
  }
  return found;
}

/** What each row has whatever it holds. */
function broken(name: string, rows: readonly Row[]): string[] {
  const of = (column: string): unknown[] => rows.map((row) => row[column]);
  const unique = ['_airbyte_raw_id', '_tapline_order'].filter((column) => new Set(of(column)).size !== rows.length || of(column).some((value) => value == null));
  const missing = ['_airbyte_extracted_at', '_airbyte_generation_id', '_airbyte_meta'].filter((column) => of(column).some((value) => value == null));
  return [...unique.map((column) => `${name}: ${column} is not there once a row`), ...missing.map((column) => `${name}: ${column} is missing`)];
}

function rowDifferences(name: string, lines: readonly Row[], batches: readonly Row[]): string[] {
  const texts = (rows: readonly Row[]): string[] => rows.map(textOf).sort();
  const [one, other] = [texts(lines), texts(batches)];
  const found: string[] = one.length === other.length ? [] : [`${name}: ${one.length} rows by lines, ${other.length} by batches`];
  const [onlyLines, onlyBatches] = [without(one, other), without(other, one)];
  for (let i = 0; i < Math.min(5, Math.max(onlyLines.length, onlyBatches.length)); i++) {
    found.push(`${name}: ${firstDifference(onlyLines[i] ?? '{}', onlyBatches[i] ?? '{}')} (${onlyLines.length} such rows)`);
  }
  return found;
}

function without(some: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const one of others) left.set(one, (left.get(one) ?? 0) + 1);
  return some.filter((one) => {
    const count = left.get(one) ?? 0;
    left.set(one, count - 1);
    return count <= 0;
  });
}

function firstDifference(line: string, batch: string): string {
  const [one, other] = [JSON.parse(line) as Record<string, unknown>, JSON.parse(batch) as Record<string, unknown>];
  const column = [...new Set([...Object.keys(one), ...Object.keys(other)])].find((key) => JSON.stringify(one[key]) !== JSON.stringify(other[key]));
  const show = (value: unknown): string => String(JSON.stringify(value)).slice(0, 150);
  return `${column} is ${show(one[column!])} by lines, ${show(other[column!])} by batches, id ${show(one['id'] ?? other['id'])}`;
}

/** The id first, so that rows that differ stand in the same place on both sides. */
function textOf(row: Row): string {
  const kept = Object.entries(row).filter(([column]) => !ofTheRun.has(column));
  return JSON.stringify(Object.fromEntries([['id', canonical(row['id'] ?? null)], ...kept.map(([column, value]) => [column, column === '_airbyte_meta' ? metaOf(value) : canonical(value)])]));
}

function canonical(value: Value | WarehouseValue): string | null {
  if (value === null) return null;
  if (Buffer.isBuffer(value)) return value.toString('hex');
  return Object.is(value, -0) ? '-0' : `${typeof value} ${value}`;
}

/** Without the sync's own number; the entries in one order: which field comes first means nothing. */
function metaOf(value: Value | WarehouseValue): unknown {
  const { sync_id: _sync, changes = [], ...rest } = JSON.parse(String(value)) as { sync_id?: unknown; changes?: unknown[] };
  return { ...rest, changes: changes.map((change) => JSON.stringify(change)).sort() };
}
