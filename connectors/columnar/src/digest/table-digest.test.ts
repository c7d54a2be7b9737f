import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConfiguredStream } from '@tapline/protocol';
import { expect, onTestFinished, test } from 'vitest';
import { Engine } from '../convert/engine.js';
import { TableDigest } from './table-digest.js';

const text = { type: ['null', 'string'], tapline_type: 'text' };
const stream = (name: string, replicated: boolean): ConfiguredStream => ({
  stream: {
    name, json_schema: { properties: { id: { type: 'integer', tapline_type: 'int64' }, v: text, ...(replicated && { _ab_cdc_lsn: { type: 'integer', tapline_type: 'int64' }, _ab_cdc_deleted_at: { type: 'string', tapline_type: 'timestamptz' }, _tapline_order: text }) } },
    source_defined_primary_key: [['id']], ...(replicated && { source_defined_cursor: true, tapline: { order: true } }),
  },
  sync_mode: replicated ? 'incremental' : 'full_refresh', destination_sync_mode: 'append', primary_key: [['id']],
});

async function scratch(): Promise<{ directory: string; engine: Engine }> {
  const directory = await mkdtemp(join(tmpdir(), 'tapline-table-digest-'));
  const engine = new Engine({ directory: join(directory, 'engine'), memoryBytes: 256 << 20 });
  onTestFinished(async () => {
    await engine[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });
  return { directory, engine };
}

const fetch = async (path: string) => ({ path, async [Symbol.asyncDispose]() {} });
const meta = `'{"changes":[]}' AS _airbyte_meta`;

test('more changes than memory holds at once are folded in slices of the keys, to the same digest as the rows that are left', { timeout: 120_000 }, async () => {
  const { directory, engine } = await scratch();
  const [changes, rows] = [join(directory, 'changes.parquet'), join(directory, 'rows.parquet')];
  const n = 1_200_000;
  await engine.run(
    `COPY (SELECT (x * 7919) % 300000 AS id, 'v' || x AS v, x AS _ab_cdc_lsn, CASE WHEN x % 11 = 0 THEN TIMESTAMPTZ '2026-01-01 00:00:00+00' END AS _ab_cdc_deleted_at, printf('%016x%016x', x, 1) AS _tapline_order, ${meta} FROM range(${n}) t(x)) TO '${changes}' (FORMAT parquet)`, 0);
  await engine.run(
    `COPY (SELECT (x * 7919) % 300000 AS id, 'v' || x AS v, printf('%032x', x) AS _tapline_order, ${meta} FROM range(${n - 300_000}, ${n}) t(x) WHERE x % 11 <> 0) TO '${rows}' (FORMAT parquet)`, 0);
  const folded = new TableDigest({ engine, configured: stream('t', true), fetch });
  await folded.load([changes], String(n));
  const digest = await folded.ranges(10);
  await folded.drop();
  const plain = new TableDigest({ engine, configured: stream('t', false), fetch });
  await plain.load([rows], undefined);
  expect(digest).toEqual(await plain.ranges(10));
  expect(digest.ranges.reduce((sum, [, count]) => sum + count, 0)).toBe(272_728);
});
