/** A second independent reader: what pyarrow makes of the lake is what PostgreSQL says, for every type. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { availableTypes } from '../e2e/available-types.js';
import { differences, matrix, settings, type ReadRow } from '../e2e/types-matrix.js';
import { byTurns } from '../harness/everyday.js';
import { parquetKeys } from '../harness/lake.js';
import { dateText, timeText, timestampText } from '../harness/parquet.js';
import { explain, workspace } from '../harness/workspace.js';
import { pythonProgram, pythonScript } from './python.js';

beforeAll(async () => void (await pythonProgram('pyarrow', 'python')), 600_000);

interface Read {
  readonly columns: Record<string, string>;
  readonly rows: Record<string, string | null>[];
}

function canonical(type: string | undefined, value: string | null | undefined): string | null | undefined {
  if (value === null || value === undefined) return value;
  switch (type) {
    case 'date': return dateText(BigInt(value));
    case 'time': return timeText(BigInt(value));
    case 'timestamp':
    case 'timestamptz': return timestampText(BigInt(value));
    default: return value;
  }
}

describe('pyarrow reads the lake', () => {
  test.each(byTurns([18, 14] as const))('every type of PostgreSQL %i is the value that PostgreSQL says', async (version) => {
    const at = await workspace({ version });
    const { cases, seed, expected } = matrix(version, await availableTypes(at.database));
    await at.database.query(`${settings} ${seed}`);
    const outcome = await at.sync();
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const files = (await parquetKeys(at.lake, 'public/matrix/')).map((key) => join(at.lake.uri, key));
    const { columns, rows } = JSON.parse(await pythonScript('pyarrow', 'read_parquet.py', files)) as Read;
    const types = cases.filter((one) => one.parquet && columns[one.column] !== one.parquet).map((one) => `${one.column} is ${columns[one.column]}, not ${one.parquet}`);
    const seen = rows.map((row): ReadRow => {
      const meta = JSON.parse(row['_airbyte_meta'] ?? '{}') as { changes?: { field: string }[] };
      const values = cases.map((one) => [one.column, canonical(columns[one.column], row[one.column])] as const).filter(([, value]) => value !== undefined);
      return { id: Number(row['id']), values: Object.fromEntries(values) as ReadRow['values'], changed: new Set((meta.changes ?? []).map(({ field }) => field)) };
    });
    const truth = await at.database.query<Record<string, string | null>>(`${settings} ${expected}`);
    expect([...types, ...differences(cases, truth, seen)]).toEqual([]);
  });
});
