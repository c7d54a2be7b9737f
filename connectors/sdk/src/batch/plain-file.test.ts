import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Column, parquetFile, plainForm, plainValues } from './index.js';

let directory: string;
let duckdb: DuckDBConnection;
let files = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tapline-plain-'));
  duckdb = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
});
afterAll(async () => {
  duckdb.closeSync();
  await rm(directory, { recursive: true, force: true });
});

const path = (): string => join(directory, `${++files}.parquet`);

async function formOf(bytes: Uint8Array): Promise<Awaited<ReturnType<typeof plainForm>>> {
  const file = path();
  await writeFile(file, bytes);
  return await plainForm(file);
}

/** Two columns, one with nulls. */
function small(): Buffer {
  const [ids, names] = [new Column({ kind: 'int', bits: 64 }), new Column({ kind: 'text' })];
  for (let row = 0; row < 20; row++) {
    for (const column of [ids, names]) column.reserve(1, 16);
    ids.view.setBigInt64(ids.used, BigInt(row), true);
    ids.used += 8;
    if (row % 3 === 0) names.setNull(row);
    else {
      names.view.setUint32(names.used, 2, true);
      names.bytes.write('ab', names.used + 4);
      names.used += 6;
    }
    for (const column of [ids, names]) column.rows++;
  }
  return Buffer.concat(parquetFile([ids, names], 20));
}

describe('a file that is not one of ours', () => {
  test.each([
    ['is packed', 'SELECT i FROM range(10) t(i)', 'COMPRESSION zstd'],
    ['has a dictionary', `SELECT 'a' || i % 2 AS v FROM range(1000) t(i)`, 'COMPRESSION uncompressed'],
    ['has several row groups', 'SELECT i FROM range(10000) t(i)', 'COMPRESSION uncompressed, ROW_GROUP_SIZE 2048'],
    ['has a nested column', 'SELECT [i] AS v FROM range(10) t(i)', 'COMPRESSION uncompressed'],
    ['has a type that we never write', 'SELECT i::UTINYINT AS v FROM range(10) t(i)', 'COMPRESSION uncompressed'],
    ['has no row', 'SELECT i FROM range(0) t(i)', 'COMPRESSION uncompressed'],
  ])('is left to a reader of Parquet: one that %s', async (_what, select, options) => {
    const file = path();
    await duckdb.run(`COPY (${select}) TO '${file}' (FORMAT parquet, ${options})`);
    expect(await plainForm(file)).toBeUndefined();
  });

  test('is none at all, or cut off', async () => {
    const whole = small();
    expect((await formOf(whole))?.rows).toBe(20);
    for (const bytes of [Buffer.alloc(0), Buffer.from('PAR1'), Buffer.from('PAR1PAR1'), Buffer.alloc(100_000, 1), whole.subarray(0, -1), whole.subarray(0, 40), whole.subarray(30)]) {
      expect(await formOf(bytes)).toBeUndefined();
    }
    await expect(plainForm(join(directory, 'nowhere'))).rejects.toThrow('ENOENT');
  });

  test('may have any byte wrong: what is answered lies within it', async () => {
    const whole = small();
    for (let at = 4; at < whole.length; at++) {
      for (const value of [0, 0x7f, 0xff, whole[at]! ^ 1, whole[at]! + 16]) {
        const bytes = Buffer.from(whole);
        bytes[at] = value;
        const form = await formOf(bytes);
        for (const column of form?.columns ?? []) {
          const values = plainValues(bytes, column, form!.rows);
          if (!values) continue;
          expect(values.start).toBeLessThanOrEqual(values.end);
          expect(values.end).toBeLessThanOrEqual(bytes.length);
          if (values.validity) expect(values.validity).toHaveLength((form!.rows + 7) >> 3);
        }
      }
    }
  });
});
