/** Lines or batches: what arrives is the same. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { byTurns, everyday } from '../harness/everyday.js';
import type { Outcome } from '../harness/tapline.js';
import { explain, succeeded, workspace, type Workspace, type WorkspaceOptions } from '../harness/workspace.js';
import { availableTypes } from './available-types.js';
import { oddTables } from './odd-tables.js';
import { kinds, sideOf, transportDifferences, type Kind, type Side } from './two-transports.js';
import { matrix, settings } from './types-matrix.js';

type Transport = 'json' | 'batch';

interface Twins extends Workspace {
  readonly sides: Readonly<Record<Transport, Side>>;
  /** The same run into one side, then into the other. */
  both(args?: readonly string[]): Promise<Record<Transport, Outcome>>;
  into(transport: Transport, args?: readonly string[], env?: Readonly<Record<string, string>>): Promise<Outcome>;
  differences(): Promise<string[]>;
}

async function twins(kind: Kind, { suffix = '', ...options }: WorkspaceOptions & { readonly suffix?: string } = {}): Promise<Twins> {
  const at = await workspace(options);
  const sides = { json: await sideOf(kind), batch: await sideOf(kind) };
  const into: Twins['into'] = (transport, args = [], env = {}) =>
    at.sync(['--dest', `${sides[transport].uri}${suffix}`, '--state-dir', join(at.directory, transport), '--sync', transport, '--transport', transport, ...args], { env });
  return {
    ...at, sides, into,
    both: async (args) => ({ json: await succeeded(into('json', args)), batch: await succeeded(into('batch', args)) }),
    differences: () => transportDifferences(sides.json, sides.batch),
  };
}

const counts = ({ summary }: Outcome): unknown => summary && { records: summary.records, streams: summary.streams.map(({ namespace, name, status, records }) => [namespace, name, status, records]) };

describe.each(kinds)('into %s', (kind) => {
  test.each(everyday([18, 14] as const, [18]))('a value of every type is the same by lines and by batches: PostgreSQL %i', async (version) => {
    const at = await twins(kind, { version });
    await at.database.query(`${settings} ${matrix(version, await availableTypes(at.database)).seed}`);
    const { json, batch } = await at.both();
    expect(counts(batch)).toEqual(counts(json));
    expect(await at.differences()).toEqual([]);
  });
});

describe.each(byTurns(kinds))('a kind a day: into %s', (kind) => {
  test('tables that are unlike others are the same by lines and by batches, a second time, too', async () => {
    const at = await twins(kind, { seed: oddTables });
    const { json, batch } = await at.both();
    expect(counts(batch)).toEqual(counts(json));
    expect(await at.differences()).toEqual([]);
    await at.both(['--streams', '!odd.long,!odd.large,!odd.wide']);
    expect(await at.differences()).toEqual([]);
  });

  test('rows read by a cursor, over several runs and interrupted ones, are the same by lines and by batches', async () => {
    const at = await twins(kind, {
      seed: `CREATE TABLE items (id bigint PRIMARY KEY, version bigint NOT NULL, price numeric(10,2), body text, due date);
             CREATE INDEX ON items (version);
             INSERT INTO items SELECT i, i / 50, CASE WHEN i % 777 = 5 THEN 'NaN' ELSE i / 4.0 END, repeat(md5(i::text), 8), CASE WHEN i % 999 = 9 THEN 'infinity' ELSE '2026-01-01'::date + i % 500 END FROM generate_series(1, 20000) i;
             CREATE TABLE keyless (at timestamptz NOT NULL, v int, nothing text);
             INSERT INTO keyless SELECT '2026-01-01'::timestamptz + i * interval '1 minute', i FROM generate_series(1, 3000) i`,
    });
    const args = ['--mode', 'public.items=incremental:version', '--mode', 'public.keyless=incremental:at', '--flush', '200ms'];
    const changes = [
      `INSERT INTO items SELECT 50000 + i, (SELECT max(version) FROM items), 1, 'at the boundary', NULL FROM generate_series(1, 100) i`,
      `UPDATE items SET version = (SELECT max(version) + 1 FROM items), body = 'changed', price = NULL WHERE id % 10 = 0; INSERT INTO keyless SELECT '2027-01-01'::timestamptz + i * interval '1 s', i FROM generate_series(1, 500) i`,
      `UPDATE items SET version = (SELECT max(version) + 1 FROM items) + id / 100, due = '-infinity' WHERE id % 7 = 0`,
    ];
    for (const [i, change] of ['', ...changes].entries()) {
      if (change) await at.database.query(change);
      const fired = join(at.directory, `fired-${i}`);
      const point = ['source.after_batch', 'source.after_batch_line', 'dest.after_batch'][i % 3]!;
      const outcome = await at.into('batch', [...args, '--streams', 'public.items', '--retries', '0'], { TAPLINE_FAILPOINTS: `${point}:kill>${fired}` });
      expect([outcome.exitCode !== 0, existsSync(fired)], explain(outcome)).toEqual([true, true]);
      await at.both(args);
      expect(await at.differences()).toEqual([]);
    }
  });

  test('the copies of change data capture, and the changes behind them, are the same by lines and by batches', async () => {
    const keyless = ['nothing', 'nulls', 'one_column', 'only_null', 'parts', 'parts_a', 'parts_b'].map((table) => `ALTER TABLE odd.${table} REPLICA IDENTITY FULL;`);
    const at = await twins(kind, { query: '?schemas=public,odd&replication=cdc', seed: `${oddTables} ${keyless.join(' ')}` });
    // A column of ours is none of a replicated table's.
    const args = ['--streams', '!odd.ours'];
    const { json, batch } = await at.both(args);
    expect(counts(batch)).toEqual(counts(json));
    expect(await at.differences()).toEqual([]);
    await at.database.query(`
      INSERT INTO edges (id, n4, dt, ts) VALUES (100, 'NaN', 'infinity', '0044-03-15 BC'); UPDATE edges SET txt = 'changed', i = NULL WHERE id < 4; DELETE FROM edges WHERE id = 6;
      UPDATE odd."Case" SET "ID" = 'changed'; INSERT INTO odd.large SELECT i, 1 FROM generate_series(40001, 40500) i; DELETE FROM odd.large WHERE id % 50 = 1`);
    await at.both(args);
    expect(await at.differences()).toEqual([]);
  });
});

describe.each(['duckdb', 'postgres18'] as const)('values that %s cannot hold', (kind) => {
  const seed = `CREATE TABLE bad (id int PRIMARY KEY, price numeric(6,2), due date, at timestamp, note text);
    INSERT INTO bad SELECT i, CASE i % 5 WHEN 0 THEN 'NaN'::numeric ELSE i END, CASE i % 7 WHEN 0 THEN 'infinity'::date END, CASE i % 11 WHEN 0 THEN '-infinity'::timestamp WHEN 1 THEN '0044-03-15 BC'::timestamp END, 'row ' || i FROM generate_series(1, 200) i`;

  test('go to the quarantine alike', async () => {
    const at = await twins(kind, { seed, suffix: '?bad_values=quarantine' });
    const { json, batch } = await at.both();
    expect(counts(batch)).toEqual(counts(json));
    expect(await at.differences()).toEqual([]);
    expect((await at.sides.batch.landed()).get('quarantine')!.rows.length).toBeGreaterThan(80);
  });

  test('fail the run alike', async () => {
    const at = await twins(kind, { seed, suffix: '?bad_values=fail' });
    const [json, batch] = [await at.into('json'), await at.into('batch')];
    expect([batch.exitCode, batch.summary?.error], explain(batch)).toEqual([json.exitCode, json.summary?.error]);
    expect(await at.differences()).toEqual([]);
  });
});
