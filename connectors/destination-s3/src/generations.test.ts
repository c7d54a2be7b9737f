/** Generations as a source of changes makes them, through the whole destination: lines in, what a reader finds in the folder. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseHead, syncFolder } from '@tapline/columnar';
import { byTurns } from '@tapline/test/everyday';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readAll } from '../../columnar/src/read-parquet.test.support.js';
import { lineOf, randomHistory, streams, visibleAt, type Step } from './fixtures/history.js';
import { namesBelow, storeFor } from './fixtures/writer.js';

const bin = fileURLToPath(new URL('../bin/destination-s3.js', import.meta.url));
const sync = 'shop-to-lake';
let folder: string;
let runs = 0;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tapline-generations-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const catalog = {
  streams: streams.map((name) => ({
    stream: { name, json_schema: { properties: { id: { type: 'integer', tapline_type: 'int64' } } } }, sync_mode: 'incremental', destination_sync_mode: 'append',
  })),
};

interface Run {
  readonly failpoints?: readonly string[];
  /** Commit at every state, or at the end only. */
  readonly eager?: boolean;
}

/** Feeds the steps to a destination of its own, and ends its input without a COMPLETE. Resolves with the signal that ended it. */
async function feed(steps: readonly Step[], { failpoints = [], eager = true }: Run = {}): Promise<string | null> {
  const file = async (name: string, value: object): Promise<string> => {
    const path = join(folder, `${++runs}-${name}.json`);
    await writeFile(path, JSON.stringify(value));
    return path;
  };
  const config = await file('config', { path: join(folder, 'lake'), ...(eager ? { flush_rows: 1 } : {}), staging_dir: join(folder, 'staging') });
  const session = { version: 1, run_id: 'r', sync, source: 'cluster/shop', extensions: ['checkpoint', 'generation'], continuous: false, failpoints };
  const child = spawn(process.execPath, [bin, 'write', '--config', config, '--catalog', await file('catalog', catalog), '--session', await file('session', session)], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(steps.map(lineOf).join(''));
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => (code === 0 || signal ? resolve(signal) : reject(new Error(`the destination ended with ${code}`))));
  });
}

/** Place in the history of the state that the head holds; -1 = none. */
async function positionInHead(): Promise<number> {
  const store = await storeFor({ path: join(folder, 'lake') });
  const stored = await store.readHead(syncFolder(sync));
  return (stored ? parseHead(stored.text, store.location).state_id : 0) - 1;
}

async function seen(): Promise<string[]> {
  const store = await storeFor({ path: join(folder, 'lake') });
  const rows: string[] = [];
  for (const stream of streams) {
    const files = (await namesBelow(store, `${stream}/`)).map((name) => join(folder, 'lake', name));
    for (const row of await readAll(files)) rows.push(`${stream} ${String(row['id'])}`);
  }
  return rows.toSorted();
}

/** Nothing lies below staged/ but the files of open generations. */
async function orphans(): Promise<string[]> {
  const store = await storeFor({ path: join(folder, 'lake') });
  const { deferred } = JSON.parse((await store.readHead(syncFolder(sync)))!.text) as { deferred: Record<string, { from: string }[]> };
  const named = new Set(Object.values(deferred).flat().map((move) => move.from));
  return (await namesBelow(store, `${syncFolder(sync)}staged/`)).filter((name) => !named.has(name));
}

test.each([1, 2])('history %i of copies, TRUNCATEs and ends of the input at any place shows each time what the last state tells, and nothing else', async (seed) => {
  const history = randomHistory(seed, 160);
  for (let run = 0, at = -1; at < history.length - 1; run++) {
    const end = run === 5 ? history.length : Math.min(at + 8 + ((seed * 37 + run * 53) % 40), history.length);
    await feed(history.slice(at + 1, end), { eager: run % 2 === 0 });
    at = await positionInHead();
    expect(await seen(), `after run ${run}`).toEqual(visibleAt(history, at));
    if (run > 5) break;
  }
  expect(await positionInHead()).toBe(history.length - 1);
  expect(await orphans()).toEqual([]);
});

/** Of everything one, a state after each few steps: the commits 2 to 6 each begin, end or replace something. */
const row = (stream: string, id: number, generation: number): Step => ({ kind: 'row', stream, id, generation });
const begin = (stream: string, generation: number): Step => ({ kind: 'begin', stream, generation });
const complete = (stream: string, generation: number): Step => ({ kind: 'complete', stream, generation });
const script: Step[] = [
  row('a', 1, 1), row('b', 2, 1), { kind: 'state', at: 2 },
  // A copy of a begins; b is truncated twice in one transaction.
  row('a', 3, 1), begin('a', 2), row('a', 4, 2), begin('b', 2), complete('b', 2), begin('b', 3), complete('b', 3), row('b', 5, 3), { kind: 'state', at: 11 },
  // The copy goes on, and is given up for another.
  row('a', 6, 2), begin('a', 3), row('a', 7, 3), row('b', 8, 3), { kind: 'state', at: 16 },
  // It ends, and changes follow.
  row('a', 9, 3), complete('a', 3), row('a', 10, 3), { kind: 'state', at: 20 },
  // A TRUNCATE in the middle of a copy.
  begin('a', 4), row('a', 11, 4), begin('a', 5), complete('a', 5), row('a', 12, 5), { kind: 'state', at: 26 },
];

describe('a crash around generations that begin, end and give way', () => {
  test('the script shows what it tells', async () => {
    await feed(script);
    expect(await seen()).toEqual(['a 12', 'b 5', 'b 8']);
    expect(visibleAt(script, 26)).toEqual(['a 12', 'b 5', 'b 8']);
    expect(await orphans()).toEqual([]);
  });

  test.each([
    ...['after_stage', 'before_head', 'after_publish', 'after_echo'].flatMap((name) => byTurns([2, 4]).map((hit) => `dest.${name}@${hit}`)),
    ...['after_head', 'mid_publish'].flatMap((name) => byTurns([2, 4, 3, 5], 2).map((hit) => `dest.${name}@${hit}`)),
  ])('at %s costs nothing and doubles nothing', async (failpoint) => {
    expect(await feed(script, { failpoints: [`${failpoint}:kill`] })).toBe('SIGKILL');
    // The next run finishes what was committed, and goes on behind it.
    await feed(script.slice((await positionInHead()) + 1), { eager: failpoint.includes('head') });
    expect(await seen()).toEqual(['a 12', 'b 5', 'b 8']);
    expect(await orphans()).toEqual([]);
  });

  test('leaves readers with what the last committed state tells', async () => {
    expect(await feed(script, { failpoints: ['dest.after_head@4:kill'] })).toBe('SIGKILL');
    await feed([]);
    expect(await seen()).toEqual(visibleAt(script, 20));
  });
});

test('a generation that is complete does not stand in for a state: what follows it is not committed, and so not doubled', async () => {
  const history: Step[] = [begin('a', 2), row('a', 1, 2), { kind: 'state', at: 2 }, complete('a', 2), row('a', 2, 2), row('a', 3, 2), { kind: 'state', at: 6 }];
  await feed(history.slice(0, 6));
  expect(await positionInHead()).toBe(2);
  await feed(history.slice(3));
  expect(await seen()).toEqual(['a 1', 'a 2', 'a 3']);
});
