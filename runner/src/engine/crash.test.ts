/** Runners as real processes: killed at each named place, signalled, started twice. They run the built engine (dist/). */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { byTurns } from '@tapline/test/everyday';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { SyncSummary } from '../types.js';
import { fast, folder, leftovers, linesOf, planOf, sync, upTo, visible, type Given } from './fixtures/syncs.js';

interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null; readonly summary: SyncSummary | undefined; readonly stderr: string }>;
}

function start(path: string, given: Given, failpoints = ''): Running {
  const { mode = 'incremental', write = 'append' } = given;
  const file = join(path, `plan-${Math.random()}`);
  writeFileSync(file, JSON.stringify({ ...planOf(path, given), mode, write, timing: { ...fast, graceMs: 3000, ...given.timing } }));
  const script = fileURLToPath(new URL('fixtures/runner.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TAPLINE_FAILPOINTS: failpoints } });
  onTestFinished(() => void child.kill('SIGKILL'));
  let out = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const ended: Running['ended'] = new Promise((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, stderr, summary: out ? (JSON.parse(out) as SyncSummary) : undefined }));
  });
  return { process: child, ended };
}

async function until(what: () => boolean, limitMs = 10_000): Promise<void> {
  for (let waited = 0; !what(); waited += 20) {
    if (waited > limitMs) throw new Error('waited in vain');
    await sleep(20);
  }
}

const pids = (file: string): number[] => linesOf(file).map(Number);
function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

const points = ['runner.before_save', 'runner.after_save', 'runner.before_ack', 'runner.after_ack', 'runner.after_end', 'runner.after_complete'];
const modes = [['incremental', 'append'], ['full_refresh', 'overwrite']] as const;
/** Every point in one mode, then every point in the other. */
const cases = [0, 1].flatMap((turn) => points.map((point, i) => [point, ...modes[(i + turn) % 2]!] as const));

describe('kill -9 of the runner', () => {
  test.each(byTurns(cases, points.length))(
    'at %s (%s): after one more run every row is there once', async (point, mode, write) => {
      const path = folder();
      const given: Given = {
        path, session: true, mode, write, source: { count: 40, streams: ['a', 'b'], identity: 'here', pauseMs: 10, pidFile: join(path, 'pids') },
        destination: { pidFile: join(path, 'pids') },
      };
      const killed = await start(path, given, `${point}${point.includes('save') || point.includes('ack') ? '@2' : ''}:kill`).ended;
      expect(killed.signal).toBe('SIGKILL');
      // A session source and a destination go by themselves at the end of their stdin.
      await until(() => !pids(join(path, 'pids')).some(isRunning));
      const ran = await sync(given);
      expect([ran.exitCode, ran.summary.error]).toEqual([0, undefined]);
      expect(visible(path)).toEqual({ a: upTo(40), b: upTo(40) });
      expect(leftovers(path)).toEqual([]);
    });

  test.each(['runner.before_save', 'runner.after_ack', 'runner.after_end'])('at %s, its records in batches: after one more run every row is there once, and no folder of batches', async (point) => {
    const path = folder();
    const given: Given = {
      path, session: true, formats: { source: ['parquet'], destination: ['parquet'] },
      source: { count: 40, streams: ['a', 'b'], pauseMs: 10, pidFile: join(path, 'pids'), folders: join(path, 'folders') }, destination: { pidFile: join(path, 'pids') },
    };
    expect((await start(path, given, `${point}${point.includes('end') ? '' : '@2'}:kill`).ended).signal).toBe('SIGKILL');
    await until(() => !pids(join(path, 'pids')).some(isRunning));
    const folders = (): string[] => linesOf(join(path, 'folders')).map((line) => (JSON.parse(line) as { dir: string }).dir);
    expect(folders()).not.toEqual([]);
    const ran = await sync(given);
    expect([ran.exitCode, visible(path)]).toEqual([0, { a: upTo(40), b: upTo(40) }]);
    expect(folders().filter((dir) => existsSync(join(dir, '..')))).toEqual([]);
    expect(leftovers(path)).toEqual([]);
  });

  test('in the middle of a second full refresh, whose streams have states of the first: nothing is taken for complete that is not', async () => {
    const path = folder();
    // Slow enough for several saves: states that come while one is under way are one with the next.
    const given: Given = { path, session: true, mode: 'full_refresh', write: 'overwrite', source: { count: 40, streams: ['a', 'b'], pauseMs: 10 } };
    expect((await sync(given)).exitCode).toBe(0);
    expect((await start(path, given, 'runner.after_save@2:kill').ended).signal).toBe('SIGKILL');
    await sleep(200);
    expect((await sync(given)).exitCode).toBe(0);
    expect(visible(path)).toEqual({ a: upTo(40), b: upTo(40) });
  });

  test('at random moments, again and again: in the end every row is there once', async () => {
    const path = folder();
    const given: Given = { path, session: true, source: { count: 300, streams: ['a', 'b'], pauseMs: 5 } };
    for (let i = 0; i < 6; i++) {
      const running = start(path, given);
      await sleep(150 + i * 60);
      running.process.kill('SIGKILL');
      await running.ended;
    }
    expect((await sync(given)).exitCode).toBe(0);
    expect(visible(path)).toEqual({ a: upTo(300), b: upTo(300) });
  });

  test('leaves connectors that do not notice: the next run ends them, by number and start time', async () => {
    const path = folder();
    const source = { script: [{ sleep: 600_000 }], ignoreTerm: true, pidFile: join(path, 'pids') };
    const running = start(path, { path, source });
    await until(() => existsSync(join(path, 'pids')));
    running.process.kill('SIGKILL');
    await running.ended;
    const [left] = pids(join(path, 'pids'));
    expect(isRunning(left!)).toBe(true);
    const ran = await sync({ path, source: { count: 3 } });
    expect([ran.exitCode, isRunning(left!)]).toEqual([0, false]);
    expect(ran.messages).toContainEqual(expect.stringMatching(/^warn ended \d connector process/));
    expect(leftovers(path)).toEqual([]);
  });

  test.each(['dest', 'source'])('of the %s at random moments, a retry finishes the run', async (role) => {
    const path = folder();
    const given: Given = {
      path, session: true, plan: { retries: 5 },
      source: { count: 200, pauseMs: 5, ...(role === 'source' ? { pidFile: join(path, 'pids') } : {}) },
      destination: role === 'dest' ? { pidFile: join(path, 'pids') } : {},
    };
    const running = start(path, given);
    let before = 0;
    const rows = (): number => (existsSync(join(path, 'rows')) ? visible(path).a?.length ?? 0 : 0);
    for (let kills = 1; kills <= 2; kills++) {
      // Once it has got on: deaths without progress in between are retried once only.
      await until(() => pids(join(path, 'pids')).length === kills);
      before = rows();
      await until(() => rows() >= before + 30);
      process.kill(pids(join(path, 'pids')).at(-1)!, 'SIGKILL');
    }
    const { code, summary } = await running.ended;
    expect([code, summary?.records]).toEqual([0, 200]);
    expect(visible(path)).toEqual({ a: upTo(200) });
  });
});

describe('signals', () => {
  test.each([['SIGINT', 130, true], ['SIGTERM', 143, true], ['SIGTERM', 143, false]] as const)(
    '%s: stops at the next boundary, saves the last state, exits %i (session: %s)', async (signal, exit, session) => {
      const path = folder();
      const given: Given = { path, session, source: { count: 10_000, pauseMs: 5 } };
      const running = start(path, given);
      await until(() => existsSync(join(path, 'rows')));
      await sleep(200);
      running.process.kill(signal);
      const { code, summary } = await running.ended;
      expect([code, summary?.status]).toEqual([exit, 'interrupted']);
      const rows = session ? visible(path).a! : linesOf(join(path, 'rows'));
      expect(summary?.records).toBe(rows.length);
      const saved = JSON.parse(readFileSync(join(path, 'state', 'test', 'state.json'), 'utf8')) as { states: string[] };
      expect(JSON.parse(saved.states[0]!)).toMatchObject({ stream: { stream_state: { n: rows.length } } });
      expect(leftovers(path)).toEqual([]);
    });

  test('a continuous run that SIGTERM ends cleanly exits 0', async () => {
    const path = folder();
    const running = start(path, { path, session: true, source: { count: 100_000, pauseMs: 5 }, plan: { continuous: true } });
    await until(() => existsSync(join(path, 'rows')));
    running.process.kill('SIGTERM');
    const { code, summary } = await running.ended;
    expect([code, summary?.status]).toEqual([0, 'succeeded']);
  });

  test('a source that ignores SIGTERM is killed after the grace period; a second signal kills at once', async () => {
    for (const second of [false, true]) {
      const path = folder();
      const source = { script: [{ sleep: 600_000 }], ignoreTerm: true, pidFile: join(path, 'pids') };
      const running = start(path, { path, source, timing: { graceMs: second ? 60_000 : 500 } });
      await until(() => existsSync(join(path, 'pids')));
      await sleep(100);
      running.process.kill('SIGINT');
      if (second) {
        await sleep(100);
        running.process.kill('SIGINT');
      }
      const { code, summary } = await running.ended;
      expect([code, summary?.status, isRunning(pids(join(path, 'pids'))[0]!)]).toEqual([130, 'interrupted', false]);
    }
  });

  test('while it waits before a retry end the run', async () => {
    const path = folder();
    const running = start(path, { path, source: { discoverError: { message: 'down', failure_type: 'transient_error' } }, timing: { retryBaseMs: 60_000 } });
    let stderr = '';
    running.process.stderr!.on('data', (data: Buffer) => (stderr += data.toString()));
    await until(() => stderr.includes('trying again'));
    running.process.kill('SIGTERM');
    expect((await running.ended).code).toBe(143);
  });
});

test('two runs at once: the second exits 75 and names the first; after its death the lock is free', async () => {
  const path = folder();
  const running = start(path, { path, session: true, source: { count: 100_000, pauseMs: 5 } });
  await until(() => existsSync(join(path, 'rows')));
  const second = await sync({ path, session: true, source: { count: 10 } });
  expect([second.exitCode, second.summary.error?.message]).toMatchObject([75, expect.stringContaining(`process ${running.process.pid}`)]);
  running.process.kill('SIGKILL');
  await running.ended;
  await sleep(100);
  const third = await sync({ path, session: true, source: { count: 10 } });
  expect([third.summary.error, third.messages]).toEqual([undefined, expect.anything()]);
});

describe('a destination that does not read', () => {
  test('holds the source up, and the runner stays small', async () => {
    const path = folder();
    const running = start(path, { path, source: { script: [{ records: 3_000_000 }] }, destination: { neverReads: true } });
    await sleep(2500);
    const rss = Number(execFileSync('ps', ['-o', 'rss=', '-p', String(running.process.pid)], { encoding: 'utf8' }));
    expect(rss).toBeLessThan(120_000);
    // Signals that come together are one: the second has to be a second one.
    const impatience = setInterval(() => running.process.kill('SIGINT'), 100);
    const { code } = await running.ended;
    clearInterval(impatience);
    expect(code).toBe(130);
  });
});
