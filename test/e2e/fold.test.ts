import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, onTestFinished, describe, test } from 'vitest';
import { folderLake } from '../harness/lake.js';
import { foldedDifferences } from './fold.js';

/** Each text: what COPY of DuckDB takes as a query; a file each. */
async function lakeOf(...queries: string[]) {
  const lake = await folderLake();
  onTestFinished(() => lake.dispose());
  mkdirSync(join(lake.path, 'public', 't'), { recursive: true });
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  for (const [i, query] of queries.entries()) await connection.run(`COPY (${query}) TO '${join(lake.path, 'public', 't', `${i}.parquet`)}'`);
  connection.closeSync();
  instance.closeSync();
  return lake;
}

const change = (id: number, order: number, values: string, deleted = false) => `SELECT ${id}::INT AS id, ${values}, '${String(order).padStart(4, '0')}' AS _tapline_order, ${deleted ? 'now()' : 'NULL::TIMESTAMPTZ'} AS _ab_cdc_deleted_at`;
const changes = [
  `${change(1, 1, '10::INT AS n, 1.5::DOUBLE AS f')} UNION ALL ${change(2, 2, '20, 2.5')} UNION ALL ${change(3, 3, '30, NULL')}`,
  `${change(1, 5, '11::INT AS n, \'NaN\'::DOUBLE AS f')} UNION ALL ${change(2, 6, 'NULL, NULL', true)} UNION ALL ${change(3, 4, '31, 3.5')}`,
];
const fresh = (values: string) => `SELECT * FROM (VALUES ${values}) AS t(id, n, f)`;

describe('the comparison that the differential test stands on', () => {
  test('says nothing of rows that are the same, and takes a changed type from its own column', async () => {
    expect(await foldedDifferences(await lakeOf(...changes), await lakeOf(fresh(`(1::INT, 11::INT, 'NaN'::DOUBLE), (3, 31, 3.5)`)), ['t'])).toEqual([]);
    const widened = await lakeOf(changes[0]!, `${change(1, 5, `NULL::INT AS n, NULL::DOUBLE AS f, 'x' AS n__text`)} UNION ALL ${change(2, 6, 'NULL, NULL, NULL', true)} UNION ALL ${change(3, 6, `NULL, 3.5, 'y'`)}`);
    expect(await foldedDifferences(widened, await lakeOf(`SELECT * FROM (VALUES (1::INT, 'x', NULL::DOUBLE), (3, 'y', 3.5)) AS t(id, n, f)`), ['t'])).toEqual([]);
  });

  test.each([
    ['a wrong value', fresh(`(1::INT, 12::INT, 'NaN'::DOUBLE), (3, 31, 3.5)`), /t\.n \(INTEGER\) of row 1: "12" in the table, "11"/],
    ['a value that became null', fresh(`(1::INT, 11::INT, 'NaN'::DOUBLE), (3, 31, NULL)`), /t\.f .* of row 3: null in the table, "3.5"/],
    ['a row that is missing', fresh(`(1::INT, 11::INT, 'NaN'::DOUBLE), (2, 20, 2.5), (3, 31, 3.5)`), /missing in the stream: 2/],
    ['a row that was deleted', fresh(`(1::INT, 11::INT, 'NaN'::DOUBLE)`), /only in the stream: 3/],
    ['a column that is missing', `SELECT 1::INT AS id, 11::INT AS n, 'NaN'::DOUBLE AS f, 1 AS extra UNION ALL SELECT 3, 31, 3.5, 1`, /t\.extra: no such column/],
    ['a table that is missing', `SELECT 1::INT AS id WHERE false`, /only in the stream: 1, 3/],
  ])('tells %s', async (_, rows, what) => {
    expect((await foldedDifferences(await lakeOf(...changes), await lakeOf(rows), ['t'])).join('\n')).toMatch(what);
  });
});
