/** The views of the README, as they stand there, over what the destination writes. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const bin = fileURLToPath(new URL('../bin/destination-s3.js', import.meta.url));
const duckdb = createRequire(new URL('../../columnar/package.json', import.meta.url))('@duckdb/node-api') as {
  DuckDBInstance: { create(path: string): Promise<{ connect(): Promise<{ run(sql: string): Promise<unknown>; runAndReadAll(sql: string): Promise<{ getRowsJson(): unknown[][] }> }> }> };
};

const types = { id: 'int64', note: 'text', _ab_cdc_lsn: 'int64', _ab_cdc_updated_at: 'timestamptz', _ab_cdc_deleted_at: 'timestamptz', _tapline_order: 'text' };
const at = '2026-11-20T10:00:00.000001+00:00';
const hex = (n: number): string => n.toString(16).padStart(16, '0');
const change = (lsn: number, sequence: number, id: number, note: string | null): string =>
  `${JSON.stringify({
    type: 'RECORD', record: {
      stream: 'orders', namespace: 'public', emitted_at: 1_700_000_000_000,
      data: { id, ...(note === null ? {} : { note }), _ab_cdc_lsn: lsn, _ab_cdc_updated_at: at, _ab_cdc_deleted_at: note === null ? at : null, _tapline_order: hex(lsn) + hex(sequence) },
    },
  })}\n`;
const state = (n: number): string => `{"type":"STATE","state":{"id":${n},"type":"GLOBAL","global":{"shared_state":{"n":${n}},"stream_states":[]}}}\n`;
const generation = (phase: string): string =>
  `{"type":"TAPLINE","tapline":{"type":"GENERATION","stream_descriptor":{"namespace":"public","name":"orders"},"generation_id":2,"minimum_generation_id":2,"phase":"${phase}"}}\n`;

test('the view of the README shows a table of change data capture as it is now', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tapline-readme-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = async (name: string, value: object): Promise<string> => {
    await writeFile(join(folder, name), JSON.stringify(value));
    return join(folder, name);
  };
  const properties = Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { tapline_type: type }]));
  const files = [
    '--config', await file('config.json', { path: join(folder, 'lake'), flush_rows: 1 }),
    '--catalog', await file('catalog.json', { streams: [{ stream: { name: 'orders', namespace: 'public', json_schema: { properties } }, sync_mode: 'incremental', destination_sync_mode: 'append' }] }),
    '--session', await file('session.json', { version: 1, run_id: 'r', sync: 's', source: '', extensions: ['generation'], continuous: false }),
  ];
  const feed = (...lines: string[]): void => {
    expect(spawnSync(process.execPath, [bin, 'write', ...files], { input: lines.join('') }).status).toBe(0);
  };

  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const view = /CREATE VIEW orders_now[^;]+;/.exec(readme)![0].replace("'s3://lake/raw/", `'${join(folder, 'lake')}/`);
  const connection = await (await duckdb.DuckDBInstance.create(':memory:')).connect();
  const now = async (): Promise<unknown[][]> => {
    await connection.run(view.replace('CREATE VIEW', 'CREATE OR REPLACE VIEW'));
    return (await connection.runAndReadAll('SELECT id, note FROM orders_now ORDER BY id')).getRowsJson();
  };

  // Inserted, updated (the older value in a later file), deleted, deleted and inserted again, moved to another key.
  feed(change(1, 1, 1, 'a'), change(1, 2, 2, 'b'), change(1, 3, 3, 'c'), change(1, 4, 4, 'd'), change(2, 1, 1, 'a2'), change(9, 1, 3, null), state(1));
  feed(change(10, 1, 2, null), change(10, 2, 20, 'b'), change(11, 1, 4, null), change(12, 1, 4, 'd2'), state(2));
  expect(await now()).toEqual([['1', 'a2'], ['4', 'd2'], ['20', 'b']]);
  feed(generation('begin'), generation('complete'), change(13, 2, 1, 'after'), state(3));
  expect(await now()).toEqual([['1', 'after']]);
});
