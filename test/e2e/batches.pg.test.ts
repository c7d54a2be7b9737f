/** Lines or batches: what arrives is the same. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { randomOf } from '../chaos/random.js';
import { byTurns, everyday } from '../harness/everyday.js';
import { dropSlots } from '../harness/slots.js';
import type { Outcome } from '../harness/tapline.js';
import { explain, succeeded, workspace, type Workspace, type WorkspaceOptions } from '../harness/workspace.js';
import { availableTypes } from './available-types.js';
import { oddTables } from './odd-tables.js';
import { randomChanges } from './random-changes.js';
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

/** Each of them is dear: of the first two one a day, of the others one. */
const days = new Set([...byTurns(['odd', 'cursor'] as const), ...byTurns(['few', 'none', 'rows', 'random'] as const)]);
/** For `test.each`: today, or not. */
const on = (day: 'odd' | 'cursor' | 'rows' | 'random'): readonly string[] => (days.has(day) ? [day] : []);

describe.each(byTurns(kinds))('a kind a day: into %s', (kind) => {
  test.each(on('odd'))('tables that are unlike others are the same by lines and by batches, a second time, too', async () => {
    const at = await twins(kind, { seed: oddTables });
    const { json, batch } = await at.both();
    expect(counts(batch)).toEqual(counts(json));
    expect(await at.differences()).toEqual([]);
    await at.both(['--streams', '!odd.long,!odd.large,!odd.wide']);
    expect(await at.differences()).toEqual([]);
  });

  test.each(on('cursor'))('rows read by a cursor, over several runs and interrupted ones, are the same by lines and by batches', async () => {
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

  test.each([20, 0].filter((few) => days.has(few === 0 ? 'none' : 'few')))('the copies of change data capture, and the changes behind them, are the same by lines and by batches: %i of them are few', async (few) => {
    const keyless = ['nothing', 'nulls', 'one_column', 'only_null', 'parts', 'parts_a', 'parts_b'].map((table) => `ALTER TABLE odd.${table} REPLICA IDENTITY FULL;`);
    const at = await twins(kind, { query: `?schemas=public,odd&replication=cdc&batch_changes=${few}`, seed: `${oddTables} ${keyless.join(' ')}` });
    onTestFinished(() => dropSlots(at.database));
    // A column of ours is none of a replicated table's.
    const args = ['--streams', '!odd.ours'];
    const { json, batch } = await at.both(args);
    expect(counts(batch)).toEqual(counts(json));
    expect(await at.differences()).toEqual([]);
    await at.database.query(`
      INSERT INTO edges (id, n4, dt, ts) VALUES (100, 'NaN', 'infinity', '0044-03-15 BC'); UPDATE edges SET txt = 'changed', i = NULL WHERE id < 4; DELETE FROM edges WHERE id = 6;
      UPDATE odd."Case" SET "ID" = 'changed'; INSERT INTO odd.large SELECT i, 1 FROM generate_series(40001, 40500) i; DELETE FROM odd.large WHERE id % 50 = 1`);
    const changed = await at.both(args);
    expect(counts(changed.batch)).toEqual(counts(changed.json));
    expect(await at.differences()).toEqual([]);
  });

  test.each(on('rows'))('changes of rows that the log does not hold whole, of keys, and in transactions of every size are the same by lines and by batches', async () => {
    const at = await twins(kind, {
      query: '?schemas=public&replication=cdc&batch_changes=10',
      seed: `CREATE TABLE large (id int PRIMARY KEY, n int, pad text, other text); ALTER TABLE large ALTER pad SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL;
        INSERT INTO large SELECT i, 0, repeat('x', 3000), CASE WHEN i % 3 = 0 THEN repeat('y', 3000) END FROM generate_series(1, 400) i;
        CREATE TABLE whole (LIKE large INCLUDING ALL); ALTER TABLE whole REPLICA IDENTITY FULL; INSERT INTO whole SELECT * FROM large; CREATE TABLE quiet (id int PRIMARY KEY, n int)`,
    });
    onTestFinished(() => dropSlots(at.database));
    // Whatever is appended is whole: what the log does not carry is selected again.
    const args = ['--flush', '200ms'];
    await at.both(args);
    const both = (sql: string): string => ['large', 'whole'].map((table) => `${sql.replaceAll('TABLE', table)};`).join(' ');
    await at.database.query(both('UPDATE TABLE SET n = 1'));
    await at.database.query(`${both(`UPDATE TABLE SET n = n + 1, other = 'short' WHERE id % 7 = 0`)} INSERT INTO quiet VALUES (1, 1)`);
    await at.database.query(`BEGIN; ${both(`UPDATE TABLE SET id = id + 1000 WHERE id % 5 = 0`)} ${both('DELETE FROM TABLE WHERE id % 11 = 0')} ${both(`INSERT INTO TABLE SELECT i, 9, repeat('z', 1200000) FROM generate_series(5001, 5003) i`)} ${both('UPDATE TABLE SET n = 10 WHERE id > 5000')} COMMIT`);
    for (let i = 0; i < 60; i++) await at.database.query(both(`UPDATE TABLE SET n = ${20 + i}, pad = CASE WHEN ${i} % 4 = 0 THEN repeat('w', 2500) ELSE pad END WHERE id = ${1 + (i % 9)}`));
    const { json, batch } = await at.both(args);
    expect(counts(batch)).toEqual(counts(json));
    expect(await at.differences()).toEqual([]);
    await at.database.query(`BEGIN; ${both('UPDATE TABLE SET n = 5')} TRUNCATE large; ${both(`INSERT INTO TABLE SELECT i, 7, repeat('q', 2500) FROM generate_series(7001, 7200) i`)} COMMIT`);
    await at.database.query(both('UPDATE TABLE SET n = 6'));
    await at.both(args);
    expect(await at.differences()).toEqual([]);
  });

  test.each(on('random'))('a random history of rows and of tables is the same by lines and by batches', async () => {
    const chosen = process.env['DIFFERENTIAL_SEED'] ?? String(Date.now() % 1_000_000);
    const version = Number(chosen) % 2 === 0 ? 18 : 14;
    const few = Number(chosen) % 3 === 0 ? 0 : 2;
    const at = await twins(kind, { version, query: `?schemas=public&replication=cdc&batch_changes=${few}` });
    onTestFinished(() => dropSlots(at.database));
    const { cases, seed } = matrix(version, await availableTypes(at.database));
    // JSON's -0 is 0 to the reader of lines that needs no walk. A fifth of the types: what a file of a few rows costs is its columns.
    const some = cases.filter((_, i) => i % 5 === Number(chosen) % 5).map((one) => ({ ...one, values: one.values.filter((value) => value !== `'-0'`) }));
    const changes = randomChanges(some, randomOf(`${chosen} transports`));
    await at.database.query(`${settings} ${seed} ${changes.seed}`);
    const client = await at.database.connect();
    onTestFinished(() => client.end().catch(() => {}));
    await client.query(settings);
    const explained = `DIFFERENTIAL_SEED=${chosen} repeats it. What was done:\n${changes.history.filter((one) => !/^(INSERT|UPDATE|DELETE)/.test(one)).join('\n')}`;
    for (const count of [15, 20]) {
      for (let i = 0; i < count; i++) await changes.transaction(client);
      await at.both(['--flush', '200ms']);
      expect(await at.differences(), explained).toEqual([]);
    }
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
