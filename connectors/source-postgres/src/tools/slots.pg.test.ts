import type { ToolContext } from '@tapline/sdk';
import { startPostgres, type PostgresServer, type TestDatabase } from '@tapline/test/services';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Config } from '../config.js';
import { configOf } from '../fixtures/harness.js';
import { dropSlot, lag, slots } from './slots.js';

let server: PostgresServer;
let database: TestDatabase;
beforeAll(async () => {
  server = await startPostgres({ version: 18 });
});
afterAll(() => server.stop());
beforeEach(async () => {
  database = await server.createDatabase();
  await database.query('CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION tapline_a FOR TABLE t');
  for (const name of ['tapline_a', 'other']) await database.query(`SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`);
  return async () => void (await database.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()'));
});

type Run = (context: ToolContext<Config>, args: unknown) => AsyncIterable<object>;
async function call(tool: Run, args?: unknown, extra: Record<string, unknown> = {}): Promise<object[]> {
  const context = { config: configOf(database, extra), signal: new AbortController().signal, log: () => undefined } as unknown as ToolContext<Config>;
  const results: object[] = [];
  for await (const result of tool(context, args)) results.push(result);
  return results;
}

test('slots lists ours, and the one that the configuration names, with position and state', async () => {
  expect(await call(slots)).toEqual([
    { name: 'tapline_a', database: database.name, active: false, position: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/), wal_status: 'reserved', retained_bytes: expect.any(Number), safe_bytes: null },
  ]);
  expect((await call(slots, undefined, { slot: 'other' })).map((slot) => (slot as { name: string }).name)).toEqual(['other', 'tapline_a']);
});

test('drop_slot drops the slot and the publication that the sync had made; once more it says that there is none', async () => {
  expect(await call(dropSlot, { name: 'tapline_a' })).toEqual([{ name: 'tapline_a', dropped: true, publication_dropped: true }]);
  expect(await call(dropSlot, { name: 'tapline_a' })).toEqual([{ name: 'tapline_a', dropped: false, publication_dropped: false }]);
  expect(await database.query('SELECT pubname FROM pg_publication')).toEqual([]);
  await expect(call(dropSlot, {})).rejects.toMatchObject({ kind: 'config_error' });
});

test('lag tells how much log lies behind a position, and nothing of a state without one', async () => {
  const [before] = await database.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn');
  await database.query('INSERT INTO t SELECT generate_series(1, 1000)');
  const [told] = (await call(lag, { state: { v: 1, mode: 'cdc', lsn: before!.lsn } })) as { position: string; bytes: number }[];
  expect(told).toMatchObject({ position: before!.lsn, end: expect.any(String) });
  expect(told!.bytes).toBeGreaterThan(50_000);
  expect(await call(lag, { state: { v: 1 } })).toEqual([]);
});
