/**
 * What a warehouse must survive, one claim at a time: kill -9 at each named step, a server or a network that goes away in the middle of
 * a transaction, a commit of which nobody knows whether it happened, and writers that sleep while another takes over. CHAOS=full
 * runs every step in every engine and phase.
 */
import { cp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { isGone, processInfo, signal, until, untilGone } from '../harness/processes.js';
import { leaveDestination, type Running } from '../harness/tapline.js';
import { warehouseKinds, type WarehouseKind } from '../harness/warehouse.js';
import { explain, succeeded } from '../harness/workspace.js';
import { testDatabase } from '../services/shared.js';
import { startCommitWire } from './commit-wire.js';
import { startWarehouseServer, type WarehouseServer } from './warehouse-place.js';
import { createWarehouseWorld, type WarehouseWorld, type WarehouseWorldOptions } from './warehouse-world.js';
import { syncName } from './world.js';

const full = process.env['CHAOS'] === 'full';

/** Where it is run, two of them a day: a commit that is cut off, and one of which nobody hears, are tried below in other ways every day. */
type Phase = 'the first load' | 'a later run';
const steps: readonly { point: string; hit: number; rule: string; everyday?: readonly [WarehouseKind, Phase] }[] = [
  { point: 'source.after_state', hit: 2, rule: 'a source that dies right after a STATE' },
  { point: 'dest.after_stage', hit: 1, rule: 'staged files that no commit names are garbage' },
  { point: 'dest.before_commit', hit: 2, rule: 'nothing is stored before the transaction' },
  { point: 'dest.in_commit', hit: 1, rule: 'a transaction that nobody ends never was' },
  { point: 'dest.in_commit', hit: 2, rule: 'a swap of generations that was not committed never was', everyday: ['duckdb', 'a later run'] },
  { point: 'dest.before_commit_sent', hit: 2, rule: 'all is done but the COMMIT', everyday: ['postgres14', 'a later run'] },
  { point: 'dest.after_commit', hit: 1, rule: 'the commit decides, even if nobody heard of it' },
  { point: 'dest.after_commit', hit: 2, rule: 'the commit decides, even if nobody heard of it', everyday: ['postgres18', 'the first load'] },
  { point: 'dest.after_echo', hit: 1, rule: 'the STATE sent back, and the destination gone' },
  { point: 'runner.before_save', hit: 2, rule: 'committed, and not saved: the destination is ahead' },
  { point: 'runner.after_save', hit: 1, rule: 'saved, and not acknowledged' },
  { point: 'runner.after_end', hit: 1, rule: 'END without COMPLETE is no success' },
  { point: 'runner.after_complete', hit: 1, rule: 'COMPLETE sent, and the runner gone' },
];
const everywhere = warehouseKinds.flatMap((kind) => (['the first load', 'a later run'] as const).map((phase) => [kind, phase] as const));
const cases = byTurns(steps.flatMap((step) => (full ? everywhere : step.everyday ? [step.everyday] : []).map(([kind, phase]) => ({ ...step, kind, phase }))), 2);

async function worldOf(options: WarehouseWorldOptions): Promise<WarehouseWorld> {
  const world = await createWarehouseWorld({ rows: full ? 20_000 : 10_000, ...options });
  onTestFinished(() => world.dispose());
  return world;
}

/** Every row is there once, and nothing was left behind. */
async function sound(world: WarehouseWorld): Promise<void> {
  expect([...(await world.damage()), ...(await world.leftovers())]).toEqual([]);
}

const pidIn = (marker: string): Promise<number> => readFile(marker, 'utf8').then(Number, () => 0);

describe('kill -9 at each named step, then one more run: every row is there once', () => {
  test.each(cases)('$point@$hit in $phase into $kind: $rule', async ({ point, hit, kind, phase }) => {
    const world = await worldOf({ kind });
    if (phase === 'a later run') {
      await succeeded(world.sync());
      await world.change();
    }
    const marker = join(world.directory, 'fired');
    const run = world.start({ failpoints: [`${point}@${hit}:kill>${marker}`], args: ['--retries', '0'] });
    const destination = await run.connectors().then((pids) => pids.destination, () => 0);
    const outcome = await run.done;

    const pid = await pidIn(marker);
    expect(pid, `${point}@${hit} was never reached\n${explain(outcome)}`).toBeGreaterThan(0);
    expect(isGone(pid), `${pid} outlived its kill -9`).toBe(true);
    if (point.startsWith('runner.')) expect(outcome.signal).toBe('SIGKILL');
    else {
      // A source may die in the middle of a line: that is 76 by the contract, whatever it died of.
      const torn = point.startsWith('source.') && outcome.exitCode === 76;
      expect(outcome.exitCode, explain(outcome)).toBe(torn ? 76 : 1);
    }
    if (destination) await untilGone(destination);
    expect(await world.duplicates(), 'what a reader sees right after the crash').toEqual([]);

    await succeeded(world.sync());
    await sound(world);
  });

  test.each<readonly [WarehouseKind, string]>(
    full
      ? warehouseKinds.flatMap((kind) => ['source.after_state@2', 'dest.before_commit@2', 'dest.in_commit@1', 'dest.in_commit@2', 'dest.after_commit@1', 'dest.after_commit@2'].map((point) => [kind, point] as const))
      : [['duckdb', 'dest.after_commit@2']],
  )('into %s, %s, and the same run heals it by its own retry', async (kind, point) => {
    const world = await worldOf({ kind });
    const marker = join(world.directory, 'fired');
    const outcome = await succeeded(world.sync({ failpoints: [`${point}:kill>${marker}`] }));
    const pid = await pidIn(marker);
    expect(pid, `${point} was never reached\n${explain(outcome)}`).toBeGreaterThan(0);
    expect(isGone(pid)).toBe(true);
    await sound(world);
    expect(outcome.summary?.records, 'a retry counted once').toBe(full ? 60_000 : 30_000);
  });
});

/** A run whose destination sleeps at the named step. */
async function asleepAt(world: WarehouseWorld, point: string, retries = '0'): Promise<{ run: Running; pid: number }> {
  const marker = join(world.directory, 'asleep');
  const run = world.start({ failpoints: [`${point}:stop>${marker}`], args: ['--retries', retries] });
  const pid = await until('the destination sleeps', async () => {
    if (isGone(run.pid)) throw new Error(`the run ended before ${point}:\n${explain(await run.done)}`);
    const sleeper = await pidIn(marker);
    return sleeper > 0 && processInfo(sleeper)?.state === 'T' && sleeper;
  });
  onTestFinished(() => {
    signal(pid, 'SIGKILL');
    run.kill('SIGKILL');
  });
  return { run, pid };
}

describe('a server that goes away in the middle of a transaction', () => {
  let servers: Partial<Record<WarehouseKind, WarehouseServer>> = {};
  const kinds = full ? (['postgres18', 'postgres14'] as const) : (['postgres18'] as const);
  beforeAll(async () => {
    servers = Object.fromEntries(await Promise.all(kinds.map(async (kind) => [kind, await startWarehouseServer(kind)] as const)));
  });
  afterAll(async () => void (await Promise.all(Object.values(servers).map((server) => server.stop()))));

  const faults: Readonly<Record<string, (server: WarehouseServer) => Promise<void>>> = {
    'PostgreSQL killed': async ({ postgres }) => {
      await postgres.kill9();
      await postgres.restart();
    },
    'the network cut': ({ network }) => {
      network.cut();
      network.restore();
      return Promise.resolve();
    },
  };
  const points = full ? ['dest.before_commit@1', 'dest.before_commit@2', 'dest.in_commit@1', 'dest.in_commit@2', 'dest.before_commit_sent@2', 'dest.after_commit@1'] : ['dest.in_commit@2'];
  const given = kinds.flatMap((kind) => Object.keys(full ? faults : { 'PostgreSQL killed': true }).flatMap((fault) => points.map((point) => ({ kind, fault, point }))));

  test.each(given)('$fault at $point ($kind): the run goes on or tries again, and every row is there once', async ({ kind, fault, point }) => {
    const server = servers[kind]!;
    const world = await worldOf({ kind, access: await server.access() });
    await succeeded(world.sync());
    await world.change();
    const { run, pid } = await asleepAt(world, point, '3');
    await faults[fault]!(server);
    signal(pid, 'SIGCONT');
    const outcome = await succeeded(run.done);
    // Between two transactions nothing hangs on a session: another one is opened, and the run goes on.
    if (!/before_commit@|after_commit/.test(point)) expect(outcome.stderr).toContain('trying again');
    await sound(world);
  });
});

describe('a COMMIT of which nobody knows whether it happened', () => {
  test.each<readonly ['request' | 'answer', number]>(full ? [1, 2, 3].flatMap((nth) => [['request', nth], ['answer', nth]] as const) : [['answer', 2]])('the %s of COMMIT %i of a run is lost: it finds out, and every row is there once', async (what, nth) => {
    const database = await testDatabase();
    const wire = await startCommitWire(database);
    onTestFinished(() => wire.stop());
    const world = await worldOf({ kind: 'postgres18', access: { database, port: wire.port } });
    await succeeded(world.sync());
    await world.change();
    wire.lose(what, nth);
    const outcome = await succeeded(world.sync());
    expect(wire.lost, 'COMMITs that were lost').toBe(1);
    expect(outcome.stderr).toContain('trying again');
    await sound(world);
  });
});

/** The state directory as another machine would have it: what was saved, without locks and process numbers of this one. */
async function elsewhere(world: WarehouseWorld): Promise<string> {
  const copy = `${world.stateDir}.elsewhere`;
  await cp(world.stateDir, copy, { recursive: true });
  for (const own of ['lock', 'runs']) await rm(join(copy, syncName, own), { recursive: true, force: true });
  return copy;
}

describe('a writer that is not the only one', () => {
  const points = ['dest.after_stage@2', 'dest.before_commit@2', 'dest.in_commit@1', 'dest.in_commit@2', 'dest.before_commit_sent@2', 'dest.after_commit@1'];
  const everyday = new Set(['postgres18 dest.in_commit@2']);
  const sleepers = (['postgres18', 'postgres14'] as const).flatMap((kind) => points.map((point) => [kind, point] as const)).filter(([kind, point]) => full || everyday.has(`${kind} ${point}`));

  test.each(sleepers)('into %s, asleep at %s: the other goes on without it; it wakes up fenced, and nothing is doubled', async (kind, point) => {
    const world = await worldOf({ kind });
    const { run, pid } = await asleepAt(world, point);
    await succeeded(world.sync({ stateDir: await elsewhere(world) }));
    expect(await world.damage(), 'while the first still sleeps').toEqual([]);

    signal(pid, 'SIGCONT');
    const first = await run.done;
    expect(first.exitCode, explain(first)).toBe(75);
    expect(first.summary?.error).toMatchObject({ kind: 'transient_error' });
    expect(first.summary?.error?.message).toMatch(/took over|another run|newer/i);
    await untilGone(pid);
    expect(await world.damage(), 'after it woke').toEqual([]);

    await world.change();
    await succeeded(world.sync());
    await sound(world);
  });

  test.each(full ? ['dest.before_commit@2', 'dest.in_commit@2', 'dest.after_commit@1'] : ['dest.in_commit@2'])('into a file it is the only one, asleep at %s: the other ends with 75 and names it; it wakes up and goes on', async (point) => {
    const world = await worldOf({ kind: 'duckdb' });
    const { run, pid } = await asleepAt(world, point);
    const second = await world.sync({ stateDir: await elsewhere(world), args: ['--retries', '0'] });
    expect(second.exitCode, explain(second)).toBe(75);
    expect(second.summary?.error).toMatchObject({ kind: 'transient_error' });
    expect(second.summary?.error?.message).toContain(String(pid));
    signal(pid, 'SIGCONT');
    await succeeded(run.done);
    await sound(world);
  });

  test.each<WarehouseKind>(full ? [...warehouseKinds] : [])('into %s, in the middle of its transaction, its runner killed: the next run with the same state directory sweeps it, and goes on', async (kind) => {
    const world = await worldOf({ kind });
    const { run, pid } = await asleepAt(world, 'dest.in_commit@2');
    run.kill('SIGKILL');
    await run.done;
    await succeeded(world.sync());
    await untilGone(pid);
    await sound(world);
  });

  test.each(full ? (['postgres18', 'postgres14'] as const) : [])('into %s, its own runner and source killed meanwhile: it goes by itself, and nothing is doubled', async (kind) => {
    const world = await worldOf({ kind });
    const { run, pid } = await asleepAt(world, 'dest.before_commit@2');
    await leaveDestination(run);
    const stateDir = await elsewhere(world);
    await succeeded(world.sync({ stateDir }));
    signal(pid, 'SIGCONT');
    await untilGone(pid);
    expect(await world.damage()).toEqual([]);
    // With the state directory of the dead runner: what it left there goes, and its older state counts for nothing.
    await succeeded(world.sync());
    await sound(world);
  });

  test.each<WarehouseKind>(full ? [...warehouseKinds] : [])('of two runs of one sync into %s that start together the last to open it succeeds, and nothing is doubled', async (kind) => {
    const world = await worldOf({ kind });
    await succeeded(world.sync());
    await world.change();
    const stateDir = await elsewhere(world);
    const both = await Promise.all([world.sync({ args: ['--retries', '0'] }), world.sync({ stateDir, args: ['--retries', '0'] })]);
    const told = both.map(explain).join('\n\n');
    expect(both.map(({ exitCode }) => exitCode), told).toContain(0);
    for (const { exitCode } of both) expect([0, 75], told).toContain(exitCode);
    expect(await world.duplicates()).toEqual([]);
    await succeeded(world.sync());
    await sound(world);
  });
});

describe('who reads while a refresh goes on', () => {
  test.each(full ? (['postgres18', 'postgres14'] as const) : (['postgres18'] as const))('sees in %s the old rows or the new ones, at every moment, and never waits', async (kind) => {
    const world = await worldOf({ kind });
    await succeeded(world.sync());
    const seen = new Set<string>();
    const look = async (): Promise<void> => {
      const [row] = await world.warehouse.look(({ query }) => query(`SET lock_timeout = '3s'; SELECT count(*) || ' rows of ' || string_agg(DISTINCT _airbyte_generation_id::text, ' and ') AS seen FROM public.keyed`));
      seen.add(String(row!['seen']));
    };
    await look();
    const run = world.start({ args: ['--full-refresh'] });
    let over = false;
    void run.done.then(() => (over = true));
    while (!over) await look();
    await succeeded(run.done);
    await look();
    const rows = full ? 10_000 : 5_000;
    expect([...seen].map((text) => text.replace(/\d+$/, 'n'))).toEqual([`${rows} rows of n`, `${rows} rows of n`]);
    await sound(world);
  });
});
