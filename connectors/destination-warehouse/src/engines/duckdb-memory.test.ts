import { DuckDBInstance } from '@duckdb/node-api';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Row } from '../warehouse.js';
import { MemoryGrant } from './duckdb-memory.js';

const MB = 1_000_000;
let folder: string;
let instance: DuckDBInstance;
let query: (sql: string) => Promise<Row[]>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tapline-it's-"));
  instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  query = async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJson() as Row[];
  for (const [name, rows, width] of [['narrow', 100_000, 1], ['wide', 4, 10_000]] as const) {
    await query(`COPY (SELECT repeat(md5(i::VARCHAR), ${width}) AS word FROM range(${rows}) t(i)) TO ${file(name)} (COMPRESSION uncompressed)`);
  }
});
afterAll(async () => {
  instance.closeSync();
  await rm(folder, { recursive: true, force: true });
});

const file = (name: string): string => `'${join(folder, `${name}.parquet`).replaceAll("'", "''")}'`;

test('very wide rows are granted room for two vectors of them, which stays', async () => {
  const memory = new MemoryGrant(256 * MB, 4_000 * MB);
  expect(await memory.widen(`SELECT word FROM read_parquet([${file('narrow')}, ${file('wide')}])`, query)).toBe(true);
  // 320,000 bytes a row.
  expect(memory.bytes / MB).toBeGreaterThan(256 + 1300);
  expect(memory.bytes / MB).toBeLessThan(256 + 1500);
  expect(await memory.widen(`SELECT word FROM read_parquet(${file('wide')})`, query)).toBe(false);
});

test('rows of ordinary width, files that are not there, and a limit that was asked for change nothing', async () => {
  const memory = new MemoryGrant(256 * MB, 4_000 * MB);
  expect(await memory.widen(`SELECT word FROM read_parquet([${file('narrow')}, '/nowhere/x.parquet'])`, query)).toBe(false);
  expect(memory.bytes).toBe(256 * MB);
  const asked = new MemoryGrant(256 * MB, 256 * MB);
  expect(await asked.widen(`SELECT word FROM read_parquet(${file('wide')})`, query)).toBe(false);
  const little = new MemoryGrant(256 * MB, 600 * MB);
  expect(await little.widen(`SELECT word FROM read_parquet(${file('wide')})`, query)).toBe(true);
  expect(little.bytes).toBe(600 * MB);
});
