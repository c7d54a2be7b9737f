import { describe, expect, test } from 'vitest';
import { readStream } from '../harness/lake.js';
import type { Value } from '../harness/parquet.js';
import { explain, workspace } from '../harness/workspace.js';
import { availableTypes } from './available-types.js';
import { differences, matrix, settings, type ReadRow } from './types-matrix.js';

function canonical(value: Value): string | null {
  if (value === null) return null;
  if (Buffer.isBuffer(value)) return value.toString('hex');
  return Object.is(value, -0) ? '-0' : String(value);
}

describe('a row written by PostgreSQL and read from Parquet by an independent reader is the same value, for every type', () => {
  test.each([18, 14] as const)('PostgreSQL %i', async (version) => {
    const at = await workspace({ version });
    const { cases, seed, expected } = matrix(version, await availableTypes(at.database));
    await at.database.query(`${settings} ${seed}`);
    const outcome = await at.sync();
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const { columns, rows } = await readStream(at.lake, 'public', 'matrix');
    const seen = rows.map((row): ReadRow => {
      const meta = JSON.parse(String(row['_airbyte_meta'])) as { changes?: { field: string; change: string; reason: string }[] };
      return {
        id: Number(row['id']),
        values: Object.fromEntries(cases.map((one) => [one.column, one.column in row ? canonical(row[one.column]!) : undefined]).filter(([, value]) => value !== undefined)) as ReadRow['values'],
        changed: new Set((meta.changes ?? []).map(({ field }) => field)),
      };
    });
    const types = cases.filter((one) => one.parquet && columns[one.column] !== one.parquet).map((one) => `${one.column} (${one.type}) is ${columns[one.column]}, not ${one.parquet}`);
    const truth = await at.database.query<Record<string, string | null>>(`${settings} ${expected}`);
    expect([...types, ...differences(cases, truth, seen)]).toEqual([]);
  });

  test('a value that Parquet cannot hold is told with field, change and reason, and warned about', async () => {
    const at = await workspace({ seed: `CREATE TABLE dates (id int PRIMARY KEY, due date); INSERT INTO dates VALUES (1, 'infinity'), (2, '2026-01-01')` });
    const outcome = await at.sync();
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const { rows } = await readStream(at.lake, 'public', 'dates');
    const meta = (id: number) => JSON.parse(String(rows.find((row) => row['id'] === id)?.['_airbyte_meta'])) as unknown;
    expect(meta(1)).toMatchObject({ changes: [{ field: 'due', change: 'NULLED', reason: expect.stringMatching(/^DESTINATION_|^SOURCE_/) as string }] });
    expect((meta(2) as { changes?: unknown[] }).changes ?? []).toEqual([]);
  });
});
