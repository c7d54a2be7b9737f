import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { everyday } from '../harness/everyday.js';
import { parquetKeys, readStream, rowsOf } from '../harness/lake.js';
import type { Row } from '../harness/parquet.js';
import type { Outcome } from '../harness/tapline.js';
import { openWorkspace, succeeded, workspace, type Workspace } from '../harness/workspace.js';
import { shop } from './seed.js';

const ours = ['_airbyte_extracted_at', '_airbyte_generation_id', '_airbyte_meta', '_airbyte_raw_id', '_tapline_order'];
const numbers = (rows: readonly Row[], column = 'id') => rows.map((row) => Number(row[column])).sort((a, b) => a - b);
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

describe.each(everyday(['folder', 'S3'] as const, ['S3']))('a database into a lake (%s)', (kind) => {
  let synced: Workspace & AsyncDisposable;
  let outcome: Outcome;
  beforeAll(async () => {
    synced = await openWorkspace({ lake: kind, seed: shop });
    outcome = await succeeded(synced.sync(['--sync', 'shop-nightly']));
  });
  afterAll(() => synced?.[Symbol.asyncDispose]());

  test('every row of every table arrives once, typed, with the columns that tell where it came from', async () => {
    const { lake } = synced;
    expect(outcome.summary).toMatchObject({ status: 'succeeded', records: 3564 });

    const customers = await readStream(lake, 'public', 'customers');
    expect(numbers(customers.rows)).toEqual(upTo(500));
    expect(customers.columns).toMatchObject({
      id: 'int32', name: 'string', vip: 'boolean', credit: 'decimal(12,2)', created: 'timestamptz',
      _airbyte_raw_id: 'string', _airbyte_extracted_at: 'timestamptz', _airbyte_meta: 'string', _airbyte_generation_id: 'int64', _tapline_order: 'string',
    });
    expect(Object.keys(customers.columns).filter((name) => name.startsWith('_')).sort()).toEqual(ours);
    const seventh = customers.rows.find((row) => row['id'] === 7);
    expect(seventh).toMatchObject({ name: 'Customer 7', vip: true, credit: '8.75', created: '2026-01-01T07:00:00.000000', _airbyte_generation_id: 1n });

    const orders = await readStream(lake, 'public', 'orders');
    expect(numbers(orders.rows)).toEqual(upTo(3000));
    expect(new Set(orders.rows.map((row) => row['_tapline_order'])).size).toBe(3000);
    expect(new Set(orders.rows.map((row) => row['_airbyte_raw_id'])).size).toBe(3000);
    for (const row of orders.rows) expect(row['_tapline_order']).toMatch(/^[0-9a-f]{32}$/);
    expect(await rowsOf(lake, 'billing', 'orders')).toHaveLength(64);
    expect(await rowsOf(lake, 'public', 'nothing_yet')).toEqual([]);
  });

  test('names of objects tell sync, generation, sequence and part, and nothing of ours looks like data', async () => {
    const sync8 = createHash('sha256').update('shop-nightly').digest('hex').slice(0, 8);
    const keys = await synced.lake.keys();
    const data = keys.filter((key) => !key.startsWith('_tapline/'));
    expect(data.length).toBeGreaterThanOrEqual(3);
    for (const key of data) expect(key).toMatch(new RegExp(`^(public|billing)/(customers|orders|nothing_yet)/${sync8}-g0001-\\d{12}-\\d{3}\\.parquet$`));
    const own = keys.filter((key) => key.startsWith('_tapline/'));
    expect(own.length).toBeGreaterThan(0);
    for (const key of own) expect(key.startsWith('_tapline/shop-nightly/') && !key.endsWith('.parquet'), key).toBe(true);
    expect(own.some((key) => (kind === 'S3' ? key.endsWith('/head.json') : /\/head\/\d{20}\.json$/.test(key)))).toBe(true);
    expect(own.some((key) => /\/commits\/\d+\.json$/.test(key))).toBe(true);
    expect(own.filter((key) => key.includes('/staged/')), 'nothing stays staged after a clean run').toEqual([]);
  });

  test('the head is readable, and says what delivery promises: version, epoch, sequence, states as text', async () => {
    const { lake } = synced;
    const heads = (await lake.keys()).filter((key) => /_tapline\/shop-nightly\/head(\.json|\/\d{20}\.json)$/.test(key));
    const head = JSON.parse((await lake.read(heads.at(-1)!)).toString()) as Record<string, unknown>;
    expect(Object.keys(head)).toEqual(expect.arrayContaining(['v', 'nonce', 'epoch', 'seq', 'state_id', 'source', 'states', 'generations', 'publish', 'deferred', 'delete']));
    expect(head).toMatchObject({ v: 1, generations: { 'public.orders': 1, 'public.customers': 1, 'billing.orders': 1 } });
    expect((head['states'] as unknown[]).every((state) => typeof state === 'string')).toBe(true);
    expect(head['source']).toMatch(/\d{10,}/);
  });

  describe('that comes again', () => {
    let at: Workspace & AsyncDisposable;
    let before: readonly string[];
    beforeAll(async () => {
      at = await openWorkspace({ lake: kind, seed: shop });
      await succeeded(at.sync());
      before = await parquetKeys(at.lake, 'public/customers/');
      await at.database.query(`DELETE FROM customers WHERE id > 300; UPDATE customers SET name = 'Renamed' WHERE id = 1; TRUNCATE billing.orders`);
      await succeeded(at.sync());
    });
    afterAll(() => at?.[Symbol.asyncDispose]());

    test('overwrite leaves one generation: the rows of now, and no file of before', async () => {
      const rows = await rowsOf(at.lake, 'public', 'customers');
      expect(numbers(rows)).toEqual(upTo(300));
      expect(rows.find((row) => row['id'] === 1)?.['name']).toBe('Renamed');
      expect(new Set(rows.map((row) => row['_airbyte_generation_id']))).toEqual(new Set([2n]));
      const after = await parquetKeys(at.lake, 'public/customers/');
      expect(after.filter((key) => before.includes(key))).toEqual([]);
    });

    test('overwrite of a table that became empty leaves no row', async () => {
      expect(await rowsOf(at.lake, 'billing', 'orders')).toEqual([]);
    });
  });

  test('append keeps what each run read, told apart by generation', async () => {
    const at = await workspace({ lake: kind, seed: shop });
    const args = ['--streams', 'public.customers', '--mode', 'public.customers=full_refresh/append'];
    for (let run = 1; run <= 2; run++) {
      await succeeded(at.sync(args));
    }
    const rows = await rowsOf(at.lake, 'public', 'customers');
    for (const generation of [1n, 2n]) expect(numbers(rows.filter((row) => row['_airbyte_generation_id'] === generation))).toEqual(upTo(500));
    expect(rows).toHaveLength(1000);
  });

  test('incremental moves what is new, and rows that share the last value neither twice nor never', async () => {
    const at = await workspace({ lake: kind, seed: shop });
    const args = ['--streams', 'public.orders', '--mode', 'public.orders=incremental:updated_at'];
    expect((await at.sync(args)).summary).toMatchObject({ status: 'succeeded', records: 3000 });
    expect((await at.sync(args)).summary, 'nothing new').toMatchObject({ status: 'succeeded', records: 0 });
    await at.database.query(`
      INSERT INTO orders SELECT 3000 + i, 1, 'at the boundary', (SELECT max(updated_at) FROM orders) FROM generate_series(1, 5) i;
      INSERT INTO orders SELECT 3005 + i, 1, 'later', '2026-03-01T00:00:00Z' FROM generate_series(1, 5) i;
      UPDATE orders SET note = 'changed', updated_at = '2026-03-02T00:00:00Z' WHERE id = 17`);
    expect((await at.sync(args)).summary).toMatchObject({ records: 11 });
    const rows = await rowsOf(at.lake, 'public', 'orders');
    expect(numbers(rows)).toEqual([...upTo(3010), 17].sort((a, b) => a - b));
    const versions = rows.filter((row) => row['id'] === 17n).sort((a, b) => (String(a['_tapline_order']) < String(b['_tapline_order']) ? -1 : 1));
    expect(versions.map((row) => row['note'])).toEqual(['n'.repeat(17), 'changed']);
    expect(new Set(rows.map((row) => row['_airbyte_generation_id']))).toEqual(new Set([1n]));
    expect(new Set(rows.map((row) => row['_tapline_order'])).size).toBe(rows.length);
  });
});
