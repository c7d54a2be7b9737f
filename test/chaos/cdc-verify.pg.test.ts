/** The load and its check hold against each other: what the server itself decodes is flawless, and every flaw that is put in is told. */
import { writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { folderLake } from '../harness/lake.js';
import { testDatabase } from '../services/shared.js';
import type { TestDatabase } from '../services/test-database.js';
import { createLoad, tables, type CdcLoad, type LoadTable } from './cdc-load.js';
import { damage } from './cdc-verify.js';
import { randomOf } from './random.js';

interface Change {
  table: LoadTable;
  id: string;
  counter: number | null;
  body: string | null;
  pad: string | null;
  deleted: boolean;
  order: string;
}

let database: TestDatabase;
let load: CdcLoad;
let decoded: Change[];

beforeAll(async () => {
  database = await testDatabase();
  load = await createLoad(database, { seed: 'the check', pauseMs: 0, largest: 1_000 });
  await database.query(`SELECT pg_create_logical_replication_slot('check_' || current_database(), 'test_decoding')`);
  await load.transactions(12);
  await load.finish();
  decoded = await changes();
});

afterAll(() => database?.drop());

async function changes(): Promise<Change[]> {
  const rows = await database.query<{ lsn: string; data: string }>(
    `SELECT lsn::text, data FROM pg_logical_slot_get_changes('check_' || current_database(), NULL, NULL, 'include-xids', '0', 'include-timestamp', '0')`,
  );
  const found: Change[] = [];
  let commit = 0;
  let sequence = 0;
  const pads = new Map<string, string | null>();
  for (const { data } of rows) {
    if (data === 'BEGIN') sequence = 0;
    else if (data === 'COMMIT') commit++;
    const match = /^table public\.(\w+|"full"): (INSERT|UPDATE|DELETE):(.*)$/s.exec(data);
    if (!match) continue;
    const [, name, kind, values] = match as unknown as [string, string, string, string];
    const table = name.replaceAll('"', '').replace(/^parts_\d$/, 'parts') as LoadTable;
    const after = values.split('new-tuple:').at(-1)!;
    const value = (column: string) => new RegExp(`${column}\\[[^\\]]*\\]:('([^']*)'|\\S+)`).exec(after);
    const id = value('id')![1]!;
    const pad = value('pad')?.[2] ?? null;
    // What the log did not carry is what it was.
    if (!after.includes('unchanged-toast-datum')) pads.set(`${table} ${id}`, pad);
    const deleted = kind === 'DELETE';
    const order = `${(1000 + commit).toString(16).padStart(16, '0')}${(++sequence).toString(16).padStart(16, '0')}`;
    found.push({
      table, id, deleted, order,
      counter: deleted ? null : Number(value('counter')![1]), body: deleted ? null : value('body')![2]!, pad: deleted ? null : (pads.get(`${table} ${id}`) ?? null),
    });
  }
  return found;
}

async function check(rows: readonly Change[]): Promise<string[]> {
  const lake = await folderLake();
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    for (const table of tables) {
      const folder = join(lake.path, 'public', table);
      mkdirSync(folder, { recursive: true });
      const lines = rows.filter((row) => row.table === table).map((row, i) => JSON.stringify({
        id: Number(row.id), counter: row.counter, body: row.body, pad: row.pad, _ab_cdc_deleted_at: row.deleted ? '2026-01-01' : null, _tapline_order: row.order,
        _airbyte_raw_id: `${table} ${i}`, _airbyte_generation_id: 1, _airbyte_meta: '{}', _ab_cdc_lsn: Number(`0x${row.order.slice(0, 16)}`),
      }));
      const json = join(folder, 'rows.json');
      writeFileSync(json, lines.join('\n'));
      await connection.run(`COPY (SELECT * FROM read_json('${json}', format = 'newline_delimited', columns = {id: 'BIGINT', counter: 'INT', body: 'VARCHAR', pad: 'VARCHAR', _ab_cdc_deleted_at: 'TIMESTAMPTZ',
        _tapline_order: 'VARCHAR', _airbyte_raw_id: 'VARCHAR', _airbyte_generation_id: 'BIGINT', _airbyte_meta: 'VARCHAR', _ab_cdc_lsn: 'BIGINT'})) TO '${join(folder, 'rows.parquet')}'`);
    }
    return await damage(lake, { firstStreamedBlock: 0, finished: database });
  } finally {
    connection.closeSync();
    instance.closeSync();
    await lake.dispose();
  }
}

describe('the check of the random load', () => {
  test('finds nothing wrong with what the server decodes, with large transactions, savepoints and rollbacks among it', async () => {
    expect(load.tally.rollbacks).toBeGreaterThan(0);
    expect(load.tally.savepoints).toBeGreaterThan(0);
    expect(load.tally.largest).toBeGreaterThanOrEqual(300);
    expect(decoded.length).toBeGreaterThan(load.tally.changes);
    expect(await check(decoded)).toEqual([]);
  });

  const random = randomOf('flaws');
  const any = (where: (change: Change) => boolean): Change => random.pick(decoded.filter(where));
  test.each<[string, () => Change[], RegExp]>([
    ['a lost change', () => { const lost = any(() => true); return decoded.filter((one) => one !== lost); }, /lost|missing|before the last/],
    ['a lost last change', () => { const lost = any((one) => one.counter === 8); return decoded.filter((one) => one !== lost); }, /before the last step/],
    ['a lost delete', () => { const lost = any((one) => one.deleted); return decoded.filter((one) => one !== lost); }, /steps lost/],
    ['a row that is not there at all', () => { const { id } = any(() => true); return decoded.filter((one) => one.id !== id); }, /rows, digest/],
    ['a change that is there twice', () => [...decoded, { ...any(() => true), order: 'f'.padStart(32, '0') }], /steps lost, doubled/],
    ['an order that is there twice', () => { const { order } = any((one) => one.table === 'keyed'); const other = any((one) => one.table === 'keyed' && one.order !== order); return decoded.map((one) => (one === other ? { ...one, order } : one)); }, /_tapline_order repeats/],
    ['two changes of a row that changed places', () => { const a = any((one) => one.counter === 2); const b = decoded.find((one) => one.id === a.id && one.counter === 3)!; return decoded.map((one) => (one === a ? { ...a, order: b.order } : one === b ? { ...b, order: a.order } : one)); }, /out of order/],
    ['what was rolled back', () => [...decoded, { ...any((one) => one.counter === 8), counter: 1_000, order: 'f'.padStart(32, '0') }], /rolled back/],
    ['values of another row', () => { const a = any((one) => one.counter === 7); return decoded.map((one) => (one === a ? { ...one, body: 'other' } : one)); }, /body is not that/],
    ['a large value that became null', () => { const a = any((one) => one.pad !== null); return decoded.map((one) => (one === a ? { ...one, pad: null } : one)); }, /large value/],
  ])('tells %s', async (_, flawed, what) => {
    expect((await check(flawed())).join('\n')).toMatch(what);
  });
});
