/** A merged table held against the source's own rows and against a fresh copy of them in a warehouse of the same kind: value for value. */
import { quoted, type TestWarehouse, type WarehouseRow, type WarehouseValue } from '../harness/warehouse.js';
import type { TestDatabase } from '../services/test-database.js';

export interface Merged {
  readonly merged: TestWarehouse;
  /** Of the merged table: which rows are those that the source has now. */
  readonly alive: string;
  readonly fresh: TestWarehouse;
  readonly source: TestDatabase;
}

const own = /^_airbyte_|^_tapline_|^_ab_cdc_|^(valid_from|valid_to|is_current)$/;

/** What differs; empty = nothing. Tables of the schema `public`, with a key `id`. */
export async function mergedDifferences({ merged, alive, fresh, source }: Merged, tables: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const table of tables) {
    const here = await byId(merged, `SELECT * FROM ${quoted('public', table)} WHERE ${alive}`);
    const there = await byId(fresh, `SELECT * FROM ${quoted('public', table)}`);
    const exact = await sourceRows(source, table);
    for (const [from, to, what] of [[here, exact, 'too many'], [exact, here, 'missing']] as const) {
      const ids = [...from.keys()].filter((id) => !to.has(id));
      if (ids.length > 0) found.push(`${table}: rows ${what}: ${ids.slice(0, 10).join(', ')}`);
    }
    const columns = new Set([...there.values()].flatMap((row) => Object.keys(row)));
    for (const column of columns) if (!own.test(column)) found.push(...best(table, column, here, (id) => there.get(id), sameText));
    const named = new Set([...exact.values()].flatMap((row) => Object.keys(row)));
    for (const column of named) found.push(...best(table, column, here, (id) => exact.get(id), sameAsSource).map((text) => `${text} (the source's own)`));
  }
  return found;
}

type Rows = ReadonlyMap<string, WarehouseRow>;

async function byId(at: TestWarehouse, sql: string): Promise<Rows> {
  const rows = await at.query(sql);
  const map = new Map(rows.map((row) => [String(row['id']), row]));
  if (map.size !== rows.length) throw new Error(`${rows.length - map.size} ids are there more than once: ${sql}`);
  return map;
}

/** Types whose text every engine of ours writes alike; of the others the fresh copy tells. */
const plain = /^(smallint|integer|bigint|numeric|text|character varying|date|boolean|uuid)$/;

async function sourceRows(source: TestDatabase, table: string): Promise<Rows> {
  const columns = await source.query<{ name: string; type: string }>(
    `SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '${table}'`,
  );
  const list = columns.filter(({ type }) => plain.test(type)).map(({ name }) => `${quoted(name)}::text AS ${quoted(name)}`);
  const rows = await source.query<WarehouseRow>(`SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SELECT ${list.join(', ')} FROM ${quoted('public', table)}`);
  return new Map(rows.map((row) => [String(row['id']), row]));
}

/** A change of type went on in a column of its own: that one counts in which the least is wrong. */
function best(table: string, column: string, here: Rows, there: (id: string) => WarehouseRow | undefined, same: (want: WarehouseValue, got: WarehouseValue) => boolean): string[] {
  if (here.size === 0) return [];
  const candidates = Object.keys([...here.values()][0]!).filter((name) => name === column || name.startsWith(`${column}__`));
  let least: string[] | undefined;
  for (const candidate of candidates) {
    const wrong: string[] = [];
    for (const [id, row] of here) {
      const want = there(id)?.[column];
      const got = row[candidate]!;
      if (want !== undefined && !same(want, got)) wrong.push(`${table}.${column} of row ${id}: ${short(want)} in the table, ${short(got)} in ${candidate} of the warehouse`);
    }
    if (!least || wrong.length < least.length) least = wrong;
  }
  return (least ?? [`${table}.${column}: no such column in the warehouse`]).slice(0, 3);
}

const short = (value: WarehouseValue): string => JSON.stringify(value).slice(0, 80);

const sameText = (want: WarehouseValue, got: WarehouseValue): boolean => canonical(want) === canonical(got);

/** What no column can hold (a number that is none, an infinite date, one before Christ or past the year 9999) is null, and told beside it. */
const sameAsSource = (want: WarehouseValue, got: WarehouseValue): boolean =>
  sameText(want, got) || (got === null && /^(NaN|-?infinity|\d{5,}-\d\d-\d\d|.* BC)$/i.test(String(want)));

/** One text for what a change of type between numbers or between times leaves the same. */
function canonical(value: WarehouseValue): string | null {
  if (value === null) return null;
  const text = String(value);
  if (/^-?\d+\.\d+$/.test(text)) return text.replace(/\.?0+$/, '').replace(/^-0$/, '0');
  if (/^-0$/.test(text)) return '0';
  const time = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(\.\d+)?(?:\+00(?::00)?|Z)?)?$/.exec(text);
  return time ? `${time[1]}T${time[2] ?? '00:00:00'}${(time[3] ?? '').replace(/\.?0+$/, '')}` : text;
}
