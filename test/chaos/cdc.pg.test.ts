/** What change data capture must survive, one claim at a time. CHAOS=full runs every step in every place. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { isGone, processInfo, signal, until } from '../harness/processes.js';
import { queryLake } from '../harness/query.js';
import { rowsOf } from '../harness/lake.js';
import type { Outcome } from '../harness/tapline.js';
import { explain, succeeded } from '../harness/workspace.js';
import { createCdcWorld, startCdcServer, syncName, type CdcServer, type CdcLakeWorld, type StartOptions } from './cdc-world.js';

const full = process.env['CHAOS'] === 'full';

let server: CdcServer;
beforeAll(async () => {
  server = await startCdcServer();
});
afterAll(() => server?.stop());

async function worldOf(seed: string, options: { largest?: number; writers?: number } = {}): Promise<CdcLakeWorld> {
  const world = await createCdcWorld(server, { seed, pauseMs: 0, largest: 600, writers: 2, ...options });
  onTestFinished(() => world.dispose());
  return world;
}

/** Every row at its last step, a run that catches up, and nothing wrong. */
async function settled(world: CdcLakeWorld, options?: StartOptions): Promise<void> {
  await world.load.finish();
  await succeeded(world.sync(options));
  expect(await world.finalDamage()).toEqual([]);
}

/** Runs into the named step; resolves when the process that came by is dead. */
async function dies(world: CdcLakeWorld, point: string): Promise<Outcome> {
  const marker = join(world.directory, 'fired');
  const outcome = await world.sync({ failpoints: [`${point}:kill>${marker}`], args: ['--retries', '0', ...(point.includes('batch') ? ['--transport', 'batch'] : [])] });
  const pid = Number(await readFile(marker, 'utf8').catch(() => expect.fail(`${point} was never reached\n${explain(outcome)}`)));
  expect(isGone(pid), `${pid} outlived its kill -9`).toBe(true);
  expect(outcome.exitCode, explain(outcome)).not.toBe(0);
  expect(outcome.exitCode, explain(outcome)).not.toBe(78);
  return outcome;
}

/** `hits`: which passages die; of those without `everyday`, random faults hit enough in `npm test`. */
const steps: readonly { point: string; hits: readonly number[]; everyday?: true; phase: 'the copy' | 'the stream'; rule: string }[] = [
  { point: 'cdc.after_slot', hits: [1], everyday: true, phase: 'the copy', rule: 'a slot that was made, and no state says so' },
  { point: 'cdc.in_copy', hits: [2, 1, 3], everyday: true, phase: 'the copy', rule: 'a copy that was cut off begins again, and one generation is left' },
  { point: 'cdc.after_copy', hits: [2, 1, 3], everyday: true, phase: 'the copy', rule: 'a copy is over when its state is stored, not before' },
  { point: 'source.after_state', hits: [2, 1], phase: 'the copy', rule: 'a source that dies right after a STATE' },
  { point: 'source.before_confirm', hits: [1], phase: 'the copy', rule: 'stored progress holds, though the slot never heard of it' },
  { point: 'cdc.in_transaction', hits: [1, 2], everyday: true, phase: 'the stream', rule: 'a transaction that was cut off comes again whole, and once' },
  { point: 'source.after_state', hits: [1, 2], phase: 'the stream', rule: 'a source that dies right after a STATE' },
  { point: 'source.before_confirm', hits: [1, 2], everyday: true, phase: 'the stream', rule: 'stored progress prevents a replay, though the slot was not moved' },
  { point: 'source.after_batch', hits: [1, 3], phase: 'the stream', rule: 'a file of changes that nobody was told of is garbage' },
  { point: 'source.after_batch_line', hits: [2, 1], phase: 'the stream', rule: 'changes that no STATE covers come again, and once' },
  { point: 'dest.after_batch', hits: [1, 2], phase: 'the stream', rule: 'changes whose file was deleted are no loss: no state covers them' },
  { point: 'dest.after_head', hits: [1, 2], phase: 'the stream', rule: 'written and never answered: the destination is ahead' },
];
const batchStep = byTurns(steps.filter(({ point }) => point.includes('batch')).map(({ point }) => point));
const cases = steps.flatMap(({ hits, everyday, ...step }) => (full ? hits : everyday || batchStep.includes(step.point) ? hits.slice(0, 1) : []).map((hit) => ({ ...step, hit })));

describe('kill -9 at each named step, then one more run: every change is there once, in order', () => {
  test.each(cases)('$point@$hit in $phase: $rule', async ({ point, hit, phase }) => {
    const world = await worldOf(`${point} ${phase}`);
    await world.load.transactions(phase === 'the copy' ? 25 : 8);
    if (phase === 'the stream') {
      await succeeded(world.sync());
      await world.copied();
      await world.load.transactions(30);
    }
    await dies(world, `${point}@${hit}`);
    expect(await world.damage(), 'what a reader sees right after the crash').toEqual([]);
    await world.load.transactions(5);
    await settled(world);
  });
});

describe('the copy and the stream meet exactly', () => {
  test('changes during the copy are neither lost nor doubled, with two workers and heavy load', async () => {
    const world = await worldOf('during the copy', { writers: 3, largest: 2_000 });
    await world.load.transactions(40);
    const stop = new AbortController();
    const writing = world.load.write(stop.signal);
    const outcome = await world.sync().finally(() => stop.abort());
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    await writing;
    await world.copied();
    expect(await world.damage()).toEqual([]);
    await world.load.transactions(10);
    await settled(world);
    expect(world.load.tally.changes).toBeGreaterThan(5_000);
  });

  test('a table that is added later is copied while the others go on', async () => {
    const world = await worldOf('added later');
    await world.load.transactions(20);
    await succeeded(world.sync({ args: ['--streams', 'public.keyed'] }));
    await world.load.transactions(20);
    const stop = new AbortController();
    const writing = world.load.write(stop.signal);
    await succeeded(world.sync().finally(() => stop.abort()));
    await writing;
    await world.copied();
    expect(await world.damage()).toEqual([]);
    await settled(world);
  });
});

describe('what is in the log before it is visible', () => {
  /** A commit that waits for a standby that is not there: its record is in the log, and nobody sees its rows. `done` once released. */
  async function hanging(world: CdcLakeWorld, ...statements: string[]): Promise<{ release(): Promise<void> }> {
    const { database } = world;
    // Whatever else commits meanwhile waits for nobody.
    await database.query(`ALTER DATABASE ${database.name} SET synchronous_commit = local`);
    const client = await database.connect();
    await client.query('SET synchronous_commit = on');
    await database.query(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`);
    await database.query('SELECT pg_reload_conf()');
    await until('the setting holds', async () => (await database.query<{ names: string }>(`SELECT current_setting('synchronous_standby_names') AS names`))[0]!.names === 'nobody');
    for (const statement of ['BEGIN', ...statements]) await client.query(statement);
    const committed = client.query('COMMIT');
    await until('the commit waits', async () => (await database.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'`)).length > 0);
    let released = false;
    const release = async (): Promise<void> => {
      if (released) return;
      released = true;
      await database.query('ALTER SYSTEM RESET synchronous_standby_names');
      await database.query('SELECT pg_reload_conf()');
      await committed;
      await client.end();
    };
    onTestFinished(release);
    return { release };
  }

  test('a large value that is selected again is never older than its change', async () => {
    const world = await worldOf('selected again');
    await world.database.query(`CREATE TABLE t (id int PRIMARY KEY, n int, pad text); ALTER TABLE t ALTER pad SET STORAGE EXTERNAL;
      INSERT INTO t SELECT i, 0, repeat('old', 2000) FROM generate_series(1, 3) i`);
    const only = { args: ['--streams', 'public.t'] };
    await succeeded(world.sync(only));
    const { release } = await hanging(world, `UPDATE t SET pad = repeat('new', 2000) WHERE id = 1`, 'UPDATE t SET n = 1 WHERE id = 1', `INSERT INTO t VALUES (4, 0, repeat('new', 2000))`, 'UPDATE t SET n = 1 WHERE id = 4');
    const run = world.start(only);
    await run.connectors();
    // It has all the time to read what is not visible yet.
    await sleep(1_000);
    await release();
    await succeeded(run.done);
    const rows = (await rowsOf(world.lake, 'public', 't')).filter((row) => row['n'] === 1);
    expect(Object.fromEntries(rows.map((row) => [String(row['id']), String(row['pad']).slice(0, 3)]))).toEqual({ 1: 'new', 4: 'new' });
  });

  test('a table that is added while a transaction still writes to it has the rows of that transaction, once', async () => {
    const world = await worldOf('writes on');
    await world.database.query('CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0); CREATE TABLE other (id int PRIMARY KEY)');
    await succeeded(world.sync({ args: ['--streams', 'public.other'] }));
    const { release } = await hanging(world, 'INSERT INTO t VALUES (2, 1)', 'UPDATE t SET n = 1 WHERE id = 1');
    const run = world.start({ args: ['--streams', 'public.other,public.t'] });
    await run.connectors();
    await sleep(1_000);
    await release();
    await succeeded(run.done);
    const rows = (await rowsOf(world.lake, 'public', 't')).sort((a, b) => (String(a['_tapline_order']) < String(b['_tapline_order']) ? -1 : 1));
    // By the copy, or the old row by the copy and the rest by the stream: both are right.
    const seen = rows.map((row) => `${String(row['id'])}=${String(row['n'])}`);
    expect([['1=1', '2=1'], ['2=1', '1=1'], ['1=0', '2=1', '1=1']]).toContainEqual(seen);
  });
});

describe('the log as it is', () => {
  test('many changes under one position keep the order in which they were made, over all tables', async () => {
    const world = await worldOf('one position');
    await world.database.query('CREATE TABLE one (id int PRIMARY KEY, n int); CREATE TABLE two (id int PRIMARY KEY, n int)');
    const only = { args: ['--streams', 'public.one,public.two'] };
    await succeeded(world.sync(only));
    // One statement a change: 0, 1, 2 … over both tables, each row changed many times.
    await world.database.query(`DO $$ BEGIN FOR i IN 0..999 LOOP
      IF i % 2 = 0 THEN INSERT INTO one VALUES (i % 10, i) ON CONFLICT (id) DO UPDATE SET n = i; ELSE INSERT INTO two VALUES (i % 10, i) ON CONFLICT (id) DO UPDATE SET n = i; END IF;
    END LOOP; END $$`);
    await succeeded(world.sync(only));
    const rows = [...(await rowsOf(world.lake, 'public', 'one')), ...(await rowsOf(world.lake, 'public', 'two'))];
    expect(new Set(rows.map((row) => row['_ab_cdc_lsn'])).size).toBe(1);
    const ordered = rows.sort((a, b) => (String(a['_tapline_order']) < String(b['_tapline_order']) ? -1 : 1));
    expect(ordered.map((row) => row['n'])).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  });

  test('a connection that is lost in the middle of a transaction is taken up again there: nothing of it twice, nothing left out', async () => {
    const world = await worldOf('lost in the middle');
    await world.database.query(`CREATE TABLE t (id int PRIMARY KEY, n int, body text, pad text); ALTER TABLE t ALTER pad SET STORAGE EXTERNAL;
      INSERT INTO t SELECT i, 0, repeat('x', 800), CASE WHEN i % 50 = 0 THEN repeat('pad', 1000) END FROM generate_series(1, 25000) i`);
    const only = ['--streams', 'public.t'];
    await succeeded(world.sync({ args: only }));
    const marker = join(world.directory, 'asleep');
    const run = world.start({ continuous: true, args: only, failpoints: [`cdc.in_transaction@3:stop>${marker}`] });
    await run.connectors();
    // More than lies in the buffers between the server and the source.
    await world.database.query('UPDATE t SET n = 1');
    const pid = await until('the source sleeps in the middle of it', async () => {
      const sleeper = Number(await readFile(marker, 'utf8').catch(() => ''));
      return sleeper > 0 && processInfo(sleeper)?.state === 'T' && sleeper;
    });
    await world.database.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database()');
    signal(pid, 'SIGCONT');
    // A state of before the transaction may still be on its way: it is no sign that the loss was noticed.
    await until('it connects again', async () => /connecting again|trying again/.test(run.stderr()));
    expect(await world.progress(run, await world.stateId()), 'it goes on').toBe(true);
    run.kill('SIGTERM');
    const outcome = await run.done;
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    await succeeded(world.sync({ args: only }));
    const seen = await queryLake(world.lake, { t: 'public/t/' }, (ask) =>
      ask(`SELECT string_agg(c || ' rows of ' || n || ', ' || ids || ' ids, ' || pads || ' large values', '; ' ORDER BY n) FROM (SELECT n, count(*) AS c, count(DISTINCT id) AS ids, count(pad) AS pads FROM t GROUP BY n)`),
    );
    expect(seen).toBe('25000 rows of 0, 25000 ids, 500 large values; 25000 rows of 1, 25000 ids, 500 large values');
  });

  test.each([undefined, 'cdc.other_form@1', ...(full ? ['cdc.in_transaction@1'] : [])])('a column that a log in binary cannot have, in the middle of a transaction: it is read on as text, and every change is there once, in order (killed at %s)', async (point) => {
    const world = await worldOf('another form');
    await world.database.query('CREATE TABLE t (id int PRIMARY KEY, n int, at timestamptz)');
    const args = ['--streams', 'public.t', '--transport', 'batch'];
    await succeeded(world.sync({ args }));
    const marker = join(world.directory, 'fired');
    const run = world.start({ continuous: true, args: [...args, '--retries', '0'], ...(point && { failpoints: [`${point}:kill>${marker}`] }) });
    await until('the log is read', async () => {
      const [reader] = await world.database.query<{ query: string }>(`SELECT query FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'walsender'`);
      return reader?.query.includes(`binary 'true'`);
    });
    await world.database.query(`INSERT INTO t SELECT i, 0, now() FROM generate_series(1, 2000) i`);
    await world.database.query(`BEGIN; INSERT INTO t SELECT i, 1, NULL FROM generate_series(2001, 4000) i; UPDATE t SET n = 2; ALTER TABLE t ADD later interval; UPDATE t SET n = 3, later = '1 day'; COMMIT`);
    await world.database.query('UPDATE t SET n = 4; DELETE FROM t WHERE id > 2000');
    if (point) {
      const outcome = await run.done;
      await readFile(marker, 'utf8').catch(() => expect.fail(explain(outcome)));
    } else {
      await until('it is read on', async () => /public\.t has a column 'later' now.*in text alone; connecting again.*connected again/s.test(run.stderr()));
      expect(await world.progress(run, await world.stateId()), 'it goes on').toBe(true);
      run.kill('SIGTERM');
      await succeeded(run.done);
    }
    await succeeded(world.sync({ args }));
    const rows = await rowsOf(world.lake, 'public', 't');
    const steps = new Map<unknown, string[]>();
    for (const row of rows.sort((x, y) => (String(x['_tapline_order']) < String(y['_tapline_order']) ? -1 : 1))) {
      const key = row['id'];
      steps.set(key, [...(steps.get(key) ?? []), row['_ab_cdc_deleted_at'] === null ? String(row['n']) : 'gone']);
    }
    expect(new Set(rows.map((row) => row['_tapline_order'])).size).toBe(rows.length);
    expect(steps.size).toBe(4000);
    for (const [id, seen] of steps) expect([id, ...seen]).toEqual(Number(id) > 2000 ? [id, '1', '2', '3', '4', 'gone'] : [id, '0', '2', '3', '4']);
  });

  test.each(full ? [undefined, 'dest.after_head@1', 'dest.mid_publish@1', 'cdc.after_truncate@1', 'cdc.in_transaction@1', 'source.after_state@1'] : ['cdc.after_truncate@1'])('TRUNCATE of two tables in the middle of the stream leaves what came after it, one generation (killed at %s)', async (point) => {
    const world = await worldOf('truncate');
    await world.database.query(`CREATE TABLE a (id int PRIMARY KEY, n int); INSERT INTO a SELECT i, 0 FROM generate_series(1, 100) i;
      CREATE TABLE b (id int PRIMARY KEY, n int) PARTITION BY HASH (id); CREATE TABLE b_0 PARTITION OF b FOR VALUES WITH (MODULUS 1, REMAINDER 0); INSERT INTO b SELECT i, 0 FROM generate_series(1, 100) i`);
    const only = { args: ['--streams', 'public.a,public.b'] };
    await succeeded(world.sync(only));
    await world.database.query('UPDATE a SET n = 1; UPDATE b SET n = 1');
    await world.database.query('BEGIN; INSERT INTO a VALUES (200, 2); TRUNCATE a, b; INSERT INTO a SELECT i, 3 FROM generate_series(301, 350) i; INSERT INTO b VALUES (301, 3); COMMIT');
    await world.database.query('UPDATE a SET n = 4 WHERE id = 301; INSERT INTO b VALUES (302, 4); DELETE FROM b WHERE id = 301');
    if (point) {
      await world.sync({ failpoints: [`${point}:kill>${join(world.directory, 'fired')}`], args: [...only.args, '--retries', '0'] });
      await readFile(join(world.directory, 'fired'));
    }
    await succeeded(world.sync(only));
    const seen = async (table: string) => {
      const rows = (await rowsOf(world.lake, 'public', table)).sort((x, y) => (String(x['_tapline_order']) < String(y['_tapline_order']) ? -1 : 1));
      expect(new Set(rows.map((row) => row['_airbyte_generation_id'])).size).toBe(1);
      return rows.map((row) => (row['_ab_cdc_deleted_at'] === null ? `${String(row['id'])}=${String(row['n'])}` : `${String(row['id'])} deleted`));
    };
    expect(await seen('a')).toEqual([...Array.from({ length: 50 }, (_, i) => `${301 + i}=3`), '301=4']);
    expect(await seen('b')).toEqual(['301=3', '302=4', '301 deleted']);
  });
});

describe('a slot that is not the one that was left', () => {
  const slotOf = async (world: CdcLakeWorld): Promise<string> => {
    const [row] = await world.database.query<{ name: string }>('SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database()');
    return row!.name;
  };

  // What is done to a slot by hand is in test/e2e/cdc-bad-input, every day.
  test.runIf(full).each([
    ['dropped', false],
    ['dropped and made again', true],
  ])('%s by somebody: a config_error that says what is lost and the way on, and never a silent gap', async (_, again) => {
    const world = await worldOf('slot');
    await world.load.transactions(5);
    await succeeded(world.sync());
    const slot = await slotOf(world);
    await world.load.transactions(5);
    await world.database.query(`SELECT pg_drop_replication_slot('${slot}')`);
    if (again) await world.database.query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
    const outcome = await world.sync();
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(outcome.summary?.error).toMatchObject({ kind: 'config_error' });
    expect(outcome.summary?.error?.message).toContain(slot);
    expect(outcome.summary?.error?.message).toMatch(/--full-refresh|on_lost|resnapshot/);

    await succeeded(world.sync({ args: ['--full-refresh'] }));
    await world.copied();
    await world.load.transactions(5);
    await settled(world);
  });

  test.runIf(full)('a run that dies before its first state is saved leaves a slot that the next run takes, and no second one', async () => {
    const world = await worldOf('orphaned slot');
    await dies(world, 'runner.before_save@1');
    await settled(world);
    expect(await slotOf(world)).toMatch(new RegExp(`^tapline_${syncName}_`));
  });
});
