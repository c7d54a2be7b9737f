/** The examples of the README, as they stand there. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, onTestFinished, test } from 'vitest';

const bin = fileURLToPath(new URL('../bin/destination-warehouse.js', import.meta.url));
const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');

const types = { id: 'int64', note: 'text', _ab_cdc_lsn: 'int64', _ab_cdc_updated_at: 'timestamptz', _ab_cdc_deleted_at: 'timestamptz', _tapline_order: 'text' };
const hex = (n: number): string => n.toString(16).padStart(16, '0');
/** `note` null: deleted. */
const change = (day: number, id: number, note: string | null): string => {
  const at = `2026-11-${day}T10:00:00.000001+00:00`;
  const data = { id, note, _ab_cdc_lsn: day, _ab_cdc_updated_at: at, _ab_cdc_deleted_at: note === null ? at : null, _tapline_order: hex(day) + hex(id) };
  return `${JSON.stringify({ type: 'RECORD', record: { stream: 'orders', namespace: 'public', emitted_at: 1_700_000_000_000, data } })}\n`;
};

test('the queries of a history show the table as it is, and as it was', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tapline-readme-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = async (name: string, value: object): Promise<string> => {
    await writeFile(join(folder, name), JSON.stringify(value));
    return join(folder, name);
  };
  const properties = Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type: ['null', 'string'], tapline_type: type }]));
  const stream = { name: 'orders', namespace: 'public', json_schema: { type: 'object', properties }, source_defined_primary_key: [['id']], tapline: { order: true } };
  const files = [
    '--config', await file('config.json', { engine: 'duckdb', path: join(folder, 'warehouse.db'), history: 'scd2' }),
    '--catalog', await file('catalog.json', { streams: [{ stream, sync_mode: 'incremental', destination_sync_mode: 'append_dedup', primary_key: [['id']], cursor_field: [] }] }),
    '--session', await file('session.json', { version: 1, run_id: 'r', sync: 's', source: '', extensions: ['generation'], continuous: false }),
  ];
  const lines = [change(18, 1, 'a'), change(18, 2, 'b'), change(19, 1, 'a2'), change(21, 1, 'a3'), change(21, 2, null)];
  const state = '{"type":"STATE","state":{"id":1,"type":"GLOBAL","global":{"shared_state":{},"stream_states":[]}}}\n';
  expect(spawnSync(process.execPath, [bin, 'write', ...files], { input: [...lines, state].join('') }).status).toBe(0);

  const connection = await (await DuckDBInstance.create(join(folder, 'warehouse.db'))).connect();
  await connection.run(`SET TimeZone = 'UTC'; SET schema = 'public'`);
  const queries = [...readme.matchAll(/^ {2}(SELECT \* FROM orders [^;]+);/gm)].map(([, sql]) => sql!.replace('*', 'id, note'));
  const rows = await Promise.all(queries.map(async (sql) => (await connection.runAndReadAll(`${sql} ORDER BY id`)).getRowsJson()));
  expect(rows).toEqual([[['1', 'a3']], [['1', 'a2'], ['2', 'b']]]);
});

test('its codes of errors are those of the code', async () => {
  const table = readme.slice(readme.indexOf('| code | what it means |'), readme.indexOf('## Other platforms'));
  const codes = [...table.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell]) => [...cell!.matchAll(/`([a-z_]+)`/g)].map(([, code]) => code!));
  const folders = ['src', '../postgres-client/src', '../columnar/src'].map((name) => fileURLToPath(new URL(`../${name}`, import.meta.url)));
  const names = (await Promise.all(folders.map(async (at) => (await readdir(at, { recursive: true })).map((name) => join(at, name))))).flat();
  const sources = names.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  const code = (await Promise.all(sources.map((name) => readFile(name, 'utf8')))).join('\n');
  expect(codes.length).toBeGreaterThan(20);
  expect(codes.filter((one) => !code.includes(`'${one}'`))).toEqual([]);
});
