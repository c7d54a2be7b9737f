/** Counts what a warehouse holds against what the database of the spine holds. `latest` is `events` merged: one row a key. */
import type { TestDatabase } from '../services/postgres.js';
import type { ChaosWarehouse, Sight, WarehouseRow } from './warehouse-place.js';

const names = ['events', 'latest', 'keyed', 'heap'] as const;
type Name = (typeof names)[number];
/** Tables with a key of which a reader may never see a row twice, at whatever moment. */
const once: ReadonlySet<Name> = new Set(['latest', 'keyed']);
/** Each run brings all rows anew: a reader sees the old ones or the new ones, never both. */
const refreshed: ReadonlySet<Name> = new Set(['keyed', 'heap']);

/** Everything that is wrong once a run has succeeded and nobody writes; empty = every row is there once. */
export const damage = (database: TestDatabase, warehouse: ChaosWarehouse): Promise<string[]> => warehouse.look((at) => damageIn(database, at));

async function damageIn(database: TestDatabase, at: Sight): Promise<string[]> {
  const present = await at.tables('public');
  const found = await doubledIn(at, present);
  for (const name of ['latest', 'keyed', 'heap'] as const) {
    const digest = (from: string) => `SELECT count(*) AS n, coalesce(md5(string_agg(id || ':' || version || ':' || body, ',' ORDER BY id, version)), '') AS digest FROM ${from}`;
    const there = present.has(name) ? await one(at, digest(`public.${name}`)) : { n: '0', digest: '' };
    const [here] = await database.query<{ n: string; digest: string }>(digest(name));
    if (String(there['n']) !== here!.n) found.push(`${name}: ${String(there['n'])} rows in the warehouse, ${here!.n} in the database`);
    else if (there['digest'] !== here!.digest) found.push(`${name}: as many rows as in the database, but others`);
  }
  found.push(...(await eventsOf(database, at, present)));
  return found;
}

/** What is doubled, mixed or damaged, after whatever crash: a reader must never see that. */
export const duplicates = (warehouse: ChaosWarehouse): Promise<string[]> => warehouse.look(async (at) => doubledIn(at, await at.tables('public')));

async function doubledIn(at: Sight, present: ReadonlySet<string>): Promise<string[]> {
  const found: string[] = [];
  for (const name of names) {
    if (!present.has(name)) continue;
    const row = await one(
      at,
      `SELECT count(*) AS n, count(DISTINCT _airbyte_generation_id || '/' || _tapline_order) AS orders, count(DISTINCT _airbyte_raw_id) AS ids, count(DISTINCT id) AS keys,
         count(DISTINCT id || ':' || version) AS versions, count(DISTINCT _airbyte_generation_id) AS generations,
         count(*) FILTER (WHERE body IS DISTINCT FROM repeat(md5(id || ':' || version), 6)) AS others FROM public.${name}`,
    );
    const [n, orders, ids, keys, versions, generations, others] = ['n', 'orders', 'ids', 'keys', 'versions', 'generations', 'others'].map((column) => Number(row[column])) as [number, number, number, number, number, number, number];
    if (orders !== n) found.push(`${name}: _tapline_order repeats (${n} rows, ${orders} orders)`);
    if (ids !== n) found.push(`${name}: _airbyte_raw_id repeats (${n} rows, ${ids} ids)`);
    if (others > 0) found.push(`${name}: ${others} rows whose body is not theirs`);
    if (name === 'events' && versions !== n) found.push(`events: ${n - versions} versions of rows are there more than once`);
    if (once.has(name) && keys !== n) found.push(`${name}: ${n - keys} keys are there more than once`);
    if (refreshed.has(name) && generations > 1) found.push(`${name}: ${generations} generations are visible`);
  }
  return found;
}

/** Of each row the last version, and of those before it each at most once, in their order. */
async function eventsOf(database: TestDatabase, at: Sight, present: ReadonlySet<string>): Promise<string[]> {
  const [here] = await database.query<{ n: string; digest: string }>(`SELECT count(*)::text AS n, md5(string_agg(id || ':' || version, ',' ORDER BY id)) AS digest FROM events`);
  if (!present.has('events')) return [`events: not in the warehouse at all (${here!.n} rows)`];
  const found: string[] = [];
  const last = `(SELECT id, version FROM (SELECT id, version, row_number() OVER (PARTITION BY id ORDER BY _airbyte_generation_id DESC, _tapline_order DESC) AS nth FROM public.events) AS numbered WHERE nth = 1) AS last`;
  const there = await one(at, `SELECT count(*) AS n, md5(string_agg(id || ':' || version, ',' ORDER BY id)) AS digest FROM ${last}`);
  if (String(there['n']) !== here!.n) found.push(`events: ${String(there['n'])} keys in the warehouse, ${here!.n} in the database`);
  else if (there['digest'] !== here!.digest) found.push('events: the last version in the warehouse is not the one in the database');
  const { n: backwards } = await one(
    at,
    'SELECT count(*) AS n FROM (SELECT version <= lag(version) OVER (PARTITION BY id ORDER BY _airbyte_generation_id, _tapline_order) AS back FROM public.events) AS pairs WHERE back',
  );
  if (Number(backwards) > 0) found.push(`events: ${String(backwards)} versions come before an older one of the same key`);
  return found;
}

const one = async (at: Sight, sql: string): Promise<WarehouseRow> => (await at.query(sql))[0]!;
