/**
 * kill -9 while several sessions read a table together, under one snapshot, and other tables beside it. The source stops right after a session that
 * helps another has handed rows over; then one process dies. CHAOS=full takes every victim, into each kind of destination, healed either way.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { isGone, processInfo, signal, until, untilGone } from '../harness/processes.js';
import { explain, succeeded } from '../harness/workspace.js';
import { createWarehouseWorld } from './warehouse-world.js';
import { createWorld } from './world.js';

const places = ['a folder', 'DuckDB'] as const;
const victims = [['source', 'its own retry'], ['destination', 'the next run'], ['runner', 'the next run'], ['destination', 'its own retry'], ['source', 'the next run']] as const;
const cases = victims.flatMap(([victim, healedBy]) => places.map((place) => ({ victim, healedBy, place })));

const rows = 20_000;
/** `heap` has no key: some 40 ranges, and a session for each table that helps with them once it has nothing else to do. */
const source = { workers: '4', snapshot_range_bytes: String(8 * 8192) };

async function worldOf(place: (typeof places)[number]) {
  const world = place === 'a folder' ? await createWorld({ lake: 'folder', rows, source }) : await createWarehouseWorld({ kind: 'duckdb', rows, source });
  onTestFinished(() => world.dispose());
  const sessions = (where: string): Promise<number> =>
    world.database.query<{ n: number }>(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tapline' AND ${where}`).then(([row]) => row!.n);
  return { ...world, sessions };
}

test.each(byTurns(cases))('kill -9 of the $victim while sessions read a table together, into $place, healed by $healedBy: every row is there once', async ({ victim, healedBy, place }) => {
  const world = await worldOf(place);
  const marker = join(world.directory, 'fired');
  const run = world.start({ failpoints: [`source.in_help@3:stop>${marker}`], args: ['--retries', healedBy === 'its own retry' ? '5' : '0'] });
  const stopped = await until('the source stops', async () => {
    expect(isGone(run.pid), run.stderr()).toBe(false);
    const pid = Number(await readFile(marker, 'utf8').catch(() => 0));
    return pid > 0 && processInfo(pid)?.state === 'T' && pid;
  });
  expect(await world.sessions(`xact_start IS NOT NULL AND query LIKE 'COPY%ctid%'`), 'sessions that read ranges').toBeGreaterThan(1);
  const pids = { ...(await run.connectors()), runner: run.pid };
  signal(pids[victim], 'SIGKILL');
  await untilGone(pids[victim]);
  signal(stopped, 'SIGCONT');

  const outcome = await run.done;
  await Promise.all([untilGone(pids.source), untilGone(pids.destination)]);
  await until('no session is left', async () => (await world.sessions('true')) === 0);
  if (healedBy === 'its own retry') expect(outcome.exitCode, explain(outcome)).toBe(0);
  else {
    expect([outcome.exitCode, outcome.signal], explain(outcome)).toEqual(victim === 'runner' ? [null, 'SIGKILL'] : [1, null]);
    expect(await world.duplicates(), 'what a reader sees right after the crash').toEqual([]);
    await succeeded(world.sync());
  }
  expect([...(await world.damage()), ...(await world.leftovers())]).toEqual([]);
});
