import { spawn } from 'node:child_process';
import { watch } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestDatabase } from '../services/index.js';
import { askDuckdb } from './ask-duckdb.js';
import { cdcSource } from './cdc-server.js';
import { pssBytes, sampleProcess, sampleTree } from './proc.js';
import { syncArgs } from './tapline.js';

export interface LatencyOptions {
  readonly database: TestDatabase;
  /** A folder for the lake and the state. */
  readonly dir: string;
  readonly perSecond: number;
  readonly seconds: number;
  readonly flushMs: number;
}

export interface Latency {
  readonly transactions: number;
  readonly perSecond: number;
  readonly flushMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly cpuSeconds: number;
  readonly peakPssBytes: number;
  readonly files: number;
}

/**
 * From a commit to the file that a reader sees: each transaction inserts a row that carries the client's clock just before it; a row is
 * durable when the .parquet file that holds it appears in the lake.
 */
export async function cdcLatency({ database, dir, perSecond, seconds, flushMs }: LatencyOptions): Promise<Latency> {
  await database.query('CREATE TABLE ticks (id bigint PRIMARY KEY, sent_at double precision NOT NULL, customer_id int, amount numeric(12,2), status text, note text, created_at timestamptz, attributes jsonb, paid boolean)');
  const lake = join(dir, 'latency-lake');
  const folder = join(lake, 'public', 'ticks');
  await mkdir(folder, { recursive: true });
  const appeared = new Map<string, number>();
  const look = async () => {
    const files = (await readdir(folder)).filter((name) => name.endsWith('.parquet') && !appeared.has(name));
    const now = clock();
    for (const name of files) appeared.set(name, now);
  };
  const watcher = watch(folder, (_event, name) => {
    if (name?.endsWith('.parquet') && !appeared.has(name)) appeared.set(name, clock());
  });
  const options = ['--sync', 'latency', '--streams', 'public.ticks', '--continuous', '--flush', `${flushMs}ms`];
  const cpuBefore = sampleProcess('self')?.childrenCpu ?? 0;
  const runner = spawn(process.execPath, syncArgs({ source: cdcSource(database.url), dest: lake, stateDir: join(dir, 'latency-state'), more: options }), { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  const stderr: Buffer[] = [];
  runner.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const ended = new Promise<number | null>((resolve) => runner.once('exit', (code) => resolve(code)));
  let peakPssBytes = 0;
  const sampling = setInterval(() => {
    peakPssBytes = Math.max(peakPssBytes, sampleTree(runner.pid ?? 0).reduce((sum, { pid }) => sum + pssBytes(pid), 0));
  }, 1000);
  const alive = () => {
    if (runner.exitCode !== null || runner.signalCode !== null) throw new Error(`the run ended early, with ${runner.exitCode ?? runner.signalCode}:\n${Buffer.concat(stderr).toString().slice(-3000)}`);
  };
  try {
    // Warm: the first row has arrived before the clock runs.
    await database.query('INSERT INTO ticks VALUES (-1, 0)');
    await waitFor('the first row to arrive', () => appeared.size > 0, alive);
    const sent = await tick({ database, perSecond, seconds, alive });
    await database.query('INSERT INTO ticks VALUES (-2, 0)');
    const glob = join(folder, '*.parquet');
    const last = async () => Number((await askDuckdb(`SELECT count(*) AS n FROM '${glob}' WHERE id = -2`))[0]?.['n']);
    for (let tries = 0; (await last()) === 0; tries++) {
      alive();
      if (tries > 60) throw new Error('waited a minute for the last row');
      await sleep(1000);
    }
    runner.kill('SIGTERM');
    const code = await ended;
    if (code !== 0) throw new Error(`ended by SIGTERM, the run exits with ${String(code)}:\n${Buffer.concat(stderr).toString().slice(-3000)}`);
    const cpuSeconds = (sampleProcess('self')?.childrenCpu ?? 0) - cpuBefore;
    await look();
    const rows = await askDuckdb(`SELECT parse_filename(filename) AS file, sent_at FROM read_parquet('${glob}', filename = true) WHERE id >= 0`);
    if (rows.length !== sent) throw new Error(`${sent} transactions, ${rows.length} rows in the lake`);
    const waits = rows.map(({ file, sent_at }) => (appeared.get(String(file)) ?? Number.NaN) - Number(sent_at)).sort((a, b) => a - b);
    const at = (share: number) => waits[Math.min(waits.length - 1, Math.ceil(waits.length * share) - 1)] ?? Number.NaN;
    return { transactions: sent, perSecond, flushMs, p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99), maxMs: at(1), cpuSeconds, peakPssBytes, files: appeared.size };
  } finally {
    clearInterval(sampling);
    watcher.close();
    if (runner.exitCode === null) runner.kill('SIGKILL');
  }
}

const clock = (): number => performance.timeOrigin + performance.now();

/** Transactions at an even pace, on four connections: one slow commit does not hold back the next. */
async function tick({ database, perSecond, seconds, alive }: { database: TestDatabase; perSecond: number; seconds: number; alive: () => void }): Promise<number> {
  const clients = await Promise.all(Array.from({ length: 4 }, () => database.connect()));
  const text = `INSERT INTO ticks VALUES ($1, $2, 7, 12.34, 'paid', 'order left at the door, as it was asked for', now(), '{"sku": "a1", "count": 3}', true)`;
  const total = perSecond * seconds;
  const begin = clock();
  const running: Promise<unknown>[] = [];
  try {
    for (let id = 0; id < total; ) {
      const due = Math.min(total, Math.floor(((clock() - begin) / 1000) * perSecond) + 1);
      for (; id < due; id++) {
        // The client sends one statement after another: the clock is read when this one's turn comes.
        const client = clients[id % clients.length]!;
        const number = id;
        const before = running[id - clients.length] ?? Promise.resolve();
        running.push(before.then(() => client.query({ name: 'tick', text, values: [number, clock()] })));
      }
      alive();
      await sleep(1);
    }
    await Promise.all(running);
    return total;
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

async function waitFor(what: string, condition: () => boolean, alive: () => void): Promise<void> {
  for (let waited = 0; !condition(); waited += 20) {
    alive();
    if (waited > 60_000) throw new Error(`waited a minute for ${what}`);
    await sleep(20);
  }
}
