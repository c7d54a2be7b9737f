/**
 * What the crash tests of change data capture run on: a database under random load, a network that can fail between it and the
 * source, a place where the changes arrive (a folder, as a lake), and a sync that either catches up and ends, or goes on.
 */
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderLake, type Lake } from '../harness/lake.js';
import { faultyDestination, type FaultyDestination } from '../harness/faulty-destination.js';
import { until, untilGone } from '../harness/processes.js';
import { dropSlots } from '../harness/slots.js';
import { start, type Outcome, type Running } from '../harness/tapline.js';
import { startNetwork, type Network } from '../services/network.js';
import { startPostgres, type PostgresServer } from '../services/postgres.js';
import type { PostgresVersion } from '../services/postgres-binaries.js';
import type { TestDatabase } from '../services/test-database.js';
import { createLoad, type CdcLoad, type LoadOptions } from './cdc-load.js';
import { damage, type Expectation } from './cdc-verify.js';
import { halfWritten, leftovers } from './state-directory.js';
import { transportInTurn } from './transports.js';

/** A server of the test's own, that it may kill, and the way to it. */
export interface CdcServer {
  readonly postgres: PostgresServer;
  readonly network: Network | undefined;
  stop(): Promise<void>;
}

export async function startCdcServer(options: { network?: boolean; version?: PostgresVersion; conf?: Record<string, string | number> } = {}): Promise<CdcServer> {
  const postgres = await startPostgres({
    version: options.version ?? 18,
    // A walsender whose client has gone silent holds its slot for so long. Little memory: decoded transactions are spilled.
    conf: { wal_sender_timeout: '5s', logical_decoding_work_mem: '64kB', max_replication_slots: 50, max_wal_senders: 50, ...options.conf },
  });
  const network = options.network ? await startNetwork({ host: postgres.host, port: postgres.port }) : undefined;
  return {
    postgres,
    network,
    async stop() {
      await network?.stop();
      await postgres.stop();
    },
  };
}

export interface StartOptions {
  readonly continuous?: boolean;
  /** As TAPLINE_FAILPOINTS takes them. */
  readonly failpoints?: readonly string[];
  /** Through the destination that fails as planned. */
  readonly faulty?: boolean;
  readonly args?: readonly string[];
}

/** Where the changes arrive, and what is looked at there. */
export interface CdcPlace {
  /** As `--dest` takes it. */
  readonly uri: string;
  /** The destination's package, and its configuration: for the one that fails as planned. */
  readonly destination: string;
  readonly config: object;
  /** What else a run into it is told. */
  readonly args: readonly string[];
  damage(expected: Expectation): Promise<string[]>;
  dispose(): Promise<void>;
}

/** With a lake, or whatever else the changes arrive in. */
export interface CdcLakeWorld extends CdcWorld {
  readonly lake: Lake;
}

export interface CdcWorld {
  readonly database: TestDatabase;
  readonly load: CdcLoad;
  readonly faulty: FaultyDestination;
  readonly directory: string;
  readonly stateDir: string;
  start(options?: StartOptions): Running;
  /** Catches up with what is there now. */
  sync(options?: StartOptions): Promise<Outcome>;
  /** The `state_id` that was saved last; 0 = none. */
  stateId(): Promise<number>;
  /** Of every stream: pending, copying or streaming, as saved. */
  phases(): Promise<string[]>;
  /** Waits until another state was saved, or the run has ended. */
  progress(run: Running, since: number): Promise<boolean>;
  /** Waits until every connector has gone that a run started which did not live to note its own end. */
  connectorsGone(): Promise<void>;
  /** To be called once a run has ended well after the load began: from here on every step of a new row has to come. */
  copied(): Promise<void>;
  /** What is doubled, damaged or out of order where the changes arrive, at any moment when no process of the sync runs. */
  damage(): Promise<string[]>;
  /** Besides, what is missing, once the load has finished and a run has caught up; and what runs that ended left behind. */
  finalDamage(): Promise<string[]>;
  dispose(): Promise<void>;
}

export const syncName = 'cdc';

export async function createCdcWorld(server: CdcServer, options: LoadOptions): Promise<CdcLakeWorld> {
  const lake = await folderLake();
  const world = await createCdcWorldInto(
    { uri: lake.uri, destination: '@tapline/destination-s3', config: { path: lake.uri }, args: [], damage: (expected) => damage(lake, expected), dispose: () => lake.dispose() },
    server,
    options,
  );
  return { ...world, lake };
}

export async function createCdcWorldInto(place: CdcPlace, server: CdcServer, options: LoadOptions): Promise<CdcWorld> {
  const database = await server.postgres.createDatabase();
  const directory = await mkdtemp(join(tmpdir(), 'tapline-cdc-'));
  const stateDir = join(directory, 'state');
  const load = await createLoad(database, options);
  const faulty = await faultyDestination(directory, place);
  const source = new URL(database.url);
  if (server.network) source.port = String(server.network.port);
  // So few that changes travel as lines and as batches by turns.
  source.search = new URLSearchParams({ schemas: 'public', replication: 'cdc', connect_timeout: '3', snapshot_range_bytes: '65536', batch_changes: '5' }).toString();
  let firstStreamedBlock: number | undefined;
  const runs: Running[] = [];
  const begin = (given: StartOptions = {}): Running => {
    const run = start(
      [
        'sync', '--source', source.href, ...(given.faulty ? ['--dest', faulty.uri, '--dest-config', faulty.config] : ['--dest', place.uri]),
        '--sync', syncName, '--state-dir', stateDir, '--json', '--verbose', '--flush', '200ms', ...(given.continuous ? ['--continuous'] : []), ...place.args, ...transportInTurn(), ...(given.args ?? []),
      ],
      { cwd: directory, ...(given.failpoints ? { env: { TAPLINE_FAILPOINTS: given.failpoints.join(',') } } : {}) },
    );
    runs.push(run);
    return run;
  };
  const saved = () => readFile(join(stateDir, syncName, 'state.json'), 'utf8').then((text) => JSON.parse(text) as { state_id: number; states: string[] }, () => undefined);
  const world: CdcWorld = {
    database,
    load,
    faulty,
    directory,
    stateDir,
    start: begin,
    sync: (given) => begin(given).done,
    stateId: async () => (await saved())?.state_id ?? 0,
    async phases() {
      const states = ((await saved())?.states ?? []).map((text) => JSON.parse(text) as { global?: { stream_states: { stream_state: { phase?: string } }[] } });
      return states.flatMap(({ global }) => global?.stream_states ?? []).map(({ stream_state: { phase } }) => phase ?? '');
    },
    progress: async (run, since) => {
      let ended = false;
      void run.done.then(() => (ended = true));
      await until('a state is saved', async () => ended || (await world.stateId()) > since, 60_000);
      return !ended;
    },
    async connectorsGone() {
      const folder = join(stateDir, syncName, 'runs');
      for (const name of await readdir(folder).catch(() => [])) {
        if (!name.endsWith('.json')) continue;
        const record = JSON.parse(await readFile(join(folder, name), 'utf8')) as { ended_at?: string; children: { pid: number }[] };
        if (record.ended_at === undefined) await Promise.all(record.children.map(({ pid }) => untilGone(pid)));
      }
    },
    async copied() {
      firstStreamedBlock ??= await load.nextBlock();
    },
    damage: async () => [...(await confirmedTooFar(database, (await saved())?.states)), ...(await place.damage({ source: database, ...(firstStreamedBlock === undefined ? {} : { firstStreamedBlock }) })), ...(await halfWritten(stateDir))],
    finalDamage: async () => [
      ...(await place.damage({ source: database, finished: database, ...(firstStreamedBlock === undefined ? {} : { firstStreamedBlock }) })),
      ...(await leftovers(stateDir, database.password)),
      ...(await slots(database)),
    ],
    async dispose() {
      // A test that failed has left one running.
      for (const run of runs) run.kill('SIGKILL');
      await Promise.all(runs.map(({ done }) => done));
      await world.connectorsGone();
      await dropSlots(database);
      await database.drop();
      await place.dispose();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return world;
}

/** The server forgets what was confirmed: never more than what a later run begins from. */
async function confirmedTooFar(database: TestDatabase, states: readonly string[] = []): Promise<string[]> {
  const stored = states.map((text) => /"lsn":"([0-9A-F]+\/[0-9A-F]+)"/.exec(text)?.[1]).find((lsn) => lsn !== undefined);
  // The server may still be coming back.
  const rows = await until('the database answers', () =>
    database.query<{ name: string; at: string }>(
      `SELECT slot_name AS name, confirmed_flush_lsn::text AS at FROM pg_replication_slots WHERE database = current_database() AND confirmed_flush_lsn > $1::pg_lsn`,
      [stored ?? 'FFFFFFFF/FFFFFFFF'],
    ).catch(() => undefined),
  );
  return rows.map(({ name, at }) => `slot ${name} is confirmed up to ${at}, and stored is only ${stored}`);
}

/** A sync has one slot, however often it was killed. */
async function slots(database: TestDatabase): Promise<string[]> {
  const rows = await database.query<{ name: string }>('SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database()');
  return rows.length === 1 ? [] : [`${rows.length} slots instead of one: ${rows.map(({ name }) => name).join(', ')}`];
}
