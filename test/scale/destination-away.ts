import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { megabytes, seconds } from '../bench/report.js';
import { signal, until } from '../harness/processes.js';
import type { TestDatabase } from '../services/index.js';
import type { Figures } from './figures.js';
import { createWorld, endWell, memoryOf } from './world.js';

export interface DestinationAwayOptions {
  /** How long it is away. With the server's time limit of 3 s instead of 60, a minute stands for twenty. */
  readonly seconds?: number;
  readonly rowsPerSecond?: number;
  /** How much the tree may grow meanwhile. */
  readonly growthBytes?: number;
}

/**
 * The destination's process is stopped (SIGSTOP) while the database is written to. The log is kept, nobody's memory grows, the connection
 * lives through many of the server's time limits; and once it goes on, everything arrives, once.
 */
export async function destinationAway({ seconds: away = 180, rowsPerSecond = 5000, growthBytes = 64e6 }: DestinationAwayOptions = {}): Promise<Figures> {
  await using world = await createWorld({ conf: { wal_sender_timeout: '3s' }, seed: 'CREATE TABLE readings (id bigint PRIMARY KEY, sensor int, at timestamptz DEFAULT now(), body text)' });
  const run = world.follow(['--flush', '1s']);
  const load = startLoad(world.database, rowsPerSecond);
  const inLake = async () => Number((await world.ask(`SELECT count(*) AS n FROM '${world.files('readings')}'`))[0]?.['n']);
  await until('the first rows arrive', async () => (await world.countFiles()) > 0, 60_000);
  await sleep(5000);
  const { source, destination } = await run.connectors();

  signal(destination, 'SIGSTOP');
  // What lies in the pipes and buffers may fill up first.
  await sleep(Math.min(10_000, (away * 1000) / 4));
  const held = await world.slot();
  const atFirst = memoryOf(run.pid);
  let highest = atFirst;
  const walSender = await senderOf(world.database);
  for (const end = performance.now() + away * 1000; performance.now() < end; ) {
    await sleep(1000);
    highest = Math.max(highest, memoryOf(run.pid));
    assert.equal((await world.slot()).confirmed, held.confirmed, 'nothing is confirmed that is not durable');
  }
  const keeping = await world.slot();
  assert.equal(await senderOf(world.database), walSender, 'the connection has lived through it');
  assert(keeping.retained > held.retained, 'the log is kept');
  assert(highest - atFirst < growthBytes, `the tree grew from ${megabytes(atFirst)} to ${megabytes(highest)}`);

  signal(destination, 'SIGCONT');
  const begin = performance.now();
  const behind = load.sent();
  await until('what was kept arrives', async () => (await inLake()) >= behind, 600_000);
  const caughtUp = (performance.now() - begin) / 1000;
  const sent = await load.stop();
  await until('the rest arrives', async () => (await inLake()) >= sent, 120_000);
  const after = await run.connectors();
  await endWell(run);
  const [rows] = await world.ask(`SELECT count(*) AS n, count(DISTINCT id) AS ids, max(id) AS last FROM '${world.files('readings')}'`);
  assert.deepEqual({ ...rows }, { n: String(sent), ids: String(sent), last: String(sent) });
  assert.deepEqual(after, { source, destination }, 'the processes are the same');
  return {
    away: seconds(away),
    'written meanwhile': megabytes(keeping.retained - held.retained),
    'tree when it went': megabytes(atFirst),
    'highest meanwhile': megabytes(highest),
    'caught up, with the load going on, after': seconds(caughtUp),
    rows: sent.toLocaleString('en'),
  };
}

async function senderOf(database: TestDatabase): Promise<number | undefined> {
  const [row] = await database.query<{ pid: number }>('SELECT active_pid AS pid FROM pg_replication_slots WHERE database = current_database()');
  return row?.pid;
}

/** Rows at an even pace, in transactions of 50. */
function startLoad(database: TestDatabase, rowsPerSecond: number): { sent(): number; stop(): Promise<number> } {
  let sent = 0;
  let stopped = false;
  const done = (async () => {
    const client = await database.connect();
    try {
      for (const begin = performance.now(); !stopped; await sleep(5)) {
        while (!stopped && sent < ((performance.now() - begin) / 1000) * rowsPerSecond) {
          await client.query(`INSERT INTO readings SELECT i, i % 100, now(), md5(i::text) || md5((-i)::text) FROM generate_series(${sent + 1}, ${sent + 50}) AS i`);
          sent += 50;
        }
      }
    } finally {
      await client.end();
    }
  })();
  return {
    sent: () => sent,
    async stop() {
      stopped = true;
      await done;
      return sent;
    },
  };
}
