/**
 * kill -9 while several sessions read a table together, under one snapshot, and other tables beside it. The source stops right after a session that
 * helps another has handed rows over; where the table has a key, a state of its ranges is saved then. Then one process dies. CHAOS=full takes every
 * victim, into each kind of destination, healed either way.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { isGone, processInfo, signal, until, untilGone } from '../harness/processes.js';
import { explain, succeeded } from '../harness/workspace.js';
import { createWarehouseWorld } from './warehouse-world.js';
import { createWorld, syncName } from './world.js';

const places = ['a folder', 'DuckDB'] as const;
const victims = [['source', 'its own retry'], ['destination', 'the next run'], ['runner', 'the next run'], ['destination', 'its own retry'], ['source', 'the next run']] as const;
const cases = victims.flatMap(([victim, healedBy]) => places.map((place) => ({ victim, healedBy, place })));

/** Some 40 ranges, or 64 of the key, and a session for each table that helps with them once it has nothing else to do. */
const source = { workers: '4', snapshot_range_bytes: String(8 * 8192) };

/** `large` is the only table that is read together. */
async function worldOf(place: (typeof places)[number], large: 'heap' | 'keyed') {
  const rows = large === 'heap' ? 20_000 : 80_000;
  const world = place === 'a folder' ? await createWorld({ lake: 'folder', rows, source }) : await createWarehouseWorld({ kind: 'duckdb', rows, source });
  onTestFinished(() => world.dispose());
  for (const table of large === 'heap' ? ['keyed'] : ['heap', ...(place === 'DuckDB' ? ['latest'] : []), 'events']) {
    await world.database.query(`CREATE TABLE few AS SELECT * FROM ${table} LIMIT 50; TRUNCATE ${table}; INSERT INTO ${table} SELECT * FROM few; DROP TABLE few`);
  }
  const sessions = (where: string): Promise<number> =>
    world.database.query<{ n: number }>(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tapline' AND ${where}`).then(([row]) => row!.n);
  return { ...world, sessions };
}

type World = Awaited<ReturnType<typeof worldOf>>;
type Case = (typeof cases)[number];

/** `ranges`: which statements read them. */
interface Together {
  readonly hit: number;
  readonly ranges: string;
  /** When the source has stopped. */
  before?(): Promise<unknown>;
}

async function kill(world: World, { victim, healedBy }: Case, { hit, ranges, before }: Together): Promise<void> {
  const marker = join(world.directory, 'fired');
  const run = world.start({ failpoints: [`source.in_help@${hit}:stop>${marker}`], args: ['--flush', '1ms', '--retries', healedBy === 'its own retry' ? '5' : '0'] });
  const stopped = await until('the source stops', async () => {
    expect(isGone(run.pid), run.stderr()).toBe(false);
    const pid = Number(await readFile(marker, 'utf8').catch(() => 0));
    return pid > 0 && processInfo(pid)?.state === 'T' && pid;
  });
  // Before each range some is asked for or set.
  expect(await world.sessions(`xact_start IS NOT NULL AND (query LIKE '${ranges}' OR query NOT LIKE 'COPY%')`), 'sessions that read ranges').toBeGreaterThan(1);
  await before?.();
  const pids = { ...(await run.connectors()), runner: run.pid };
  signal(pids[victim], 'SIGKILL');
  await untilGone(pids[victim]);
  signal(stopped, 'SIGCONT');

  const outcome = await run.done;
  await Promise.all([untilGone(pids.source), untilGone(pids.destination)]);
  await until('no session is left', async () => (await world.sessions('true')) === 0);
  if (healedBy === 'its own retry') expect(outcome.exitCode, explain(outcome)).toBe(0);
  else {
    // Its output may end in the middle of a line.
    const exits = { source: [1, 76], destination: [1], runner: [null] }[victim];
    expect(exits, explain(outcome)).toContain(outcome.exitCode);
    expect(outcome.signal).toBe(victim === 'runner' ? 'SIGKILL' : null);
    expect(await world.duplicates(), 'what a reader sees right after the crash').toEqual([]);
    await succeeded(world.sync());
  }
  expect([...(await world.damage()), ...(await world.leftovers())]).toEqual([]);
}

test.each(byTurns(cases))('kill -9 of the $victim while sessions read a table together, into $place, healed by $healedBy: every row is there once', async (one) => {
  await kill(await worldOf(one.place, 'heap'), one, { hit: 3, ranges: 'COPY%ctid%' });
});

test.each(byTurns(cases))('kill -9 of the $victim while sessions read a table with a key together, into $place, healed by $healedBy: it goes on, and every row is there once', async (one) => {
  const world = await worldOf(one.place, 'keyed');
  const saved = (): Promise<string> => readFile(join(world.stateDir, syncName, 'state.json'), 'utf8').catch(() => '');
  await kill(world, one, { hit: 8, ranges: 'COPY%"id") <= %', before: () => until('a state of ranges is saved', async () => (await saved()).includes('ranges')) });
});
