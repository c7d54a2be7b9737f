import { chown, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificates, type Certificates } from './certificates.js';
import { freePort } from './free-port.js';
import { postgresBinaries, serverFolder, type PostgresVersion } from './postgres-binaries.js';
import { newCluster, superuser } from './postgres-template.js';
import { serverUser } from './server-user.js';
import { supervise, type Supervised } from './supervise.js';
import { createDatabase, databaseAt, postgresUrl, type TestDatabase } from './test-database.js';

export type { TestDatabase } from './test-database.js';

export interface PostgresOptions {
  readonly version?: PostgresVersion;
  /** Settings of postgresql.conf, over those for tests. */
  readonly conf?: Record<string, string | number>;
  /** TLS with a certificate for these host names, signed by a CA made for this server. `true`: localhost only, not 127.0.0.1. */
  readonly ssl?: boolean | readonly string[];
  /** Lines of pg_hba.conf that come before the usual ones. */
  readonly hba?: readonly string[];
  /** Keeps its data here over the server's life. Default: a temporary folder, removed with the server. */
  readonly dir?: string;
  readonly port?: number;
}

export interface PostgresServer {
  readonly version: PostgresVersion;
  /** To the database `postgres`, as its superuser. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly dataDir: string;
  /** Of the postmaster; another after restart(). */
  readonly pid: number;
  /** PEM files, with `ssl`. */
  readonly certificates?: Certificates;
  createDatabase(name?: string): Promise<TestDatabase>;
  /** One that is there. */
  database(name: string): TestDatabase;
  log(): Promise<string>;
  /** Ends the server and removes its data. */
  stop(): Promise<void>;
  /** SIGKILL to the postmaster and all its backends, as if the machine had gone; the data stay for restart(). */
  kill9(): Promise<void>;
  /** On the same port with the same data; stops it first (fast shutdown) if it runs. */
  restart(): Promise<void>;
}

// A test kills processes, never the machine: without fsync nothing is lost. Everything else is as on a user's server.
const testConf = {
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'logical',
  max_wal_senders: 20,
  max_replication_slots: 20,
  max_connections: 100,
  unix_socket_directories: '',
  listen_addresses: '127.0.0.1',
};

export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const version = options.version ?? 18;
  const binaries = await postgresBinaries(version);
  const user = serverUser();
  const dir = options.dir ?? (await serverFolder(`postgres${version}`));
  await mkdir(dir, { recursive: true });
  if (user) await chown(dir, user.uid, user.gid);
  const dataDir = join(dir, 'data');
  const certificates = options.ssl ? await prepareTls(dir, options.ssl === true ? ['localhost'] : options.ssl) : undefined;
  const existing = await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => '');
  if (!existing) await newCluster(binaries, dataDir);
  if (options.hba) await prepend(join(dataDir, 'pg_hba.conf'), options.hba);

  const conf: Record<string, string | number> = {
    ...testConf,
    ...(certificates ? { ssl: 'on', ssl_cert_file: certificates.cert, ssl_key_file: certificates.key } : {}),
    ...options.conf,
  };
  const settings = Object.entries(conf).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  let port = options.port ?? (await freePort());
  let running: Supervised;

  const start = async () => {
    const args = ['-D', dataDir, '-p', String(port), ...settings];
    // Data that are thrown away need no orderly end; data that are kept are spared the recovery.
    const stopSignal = options.dir ? 'INT' : 'QUIT';
    running = await supervise({ command: binaries.postgres, args, dir, stopSignal, user, keep: Boolean(options.dir) });
    await ready(dataDir, running);
  };
  const log = () => readFile(join(dir, 'log'), 'utf8').catch(() => '');
  for (let tries = 1; ; tries++) {
    try {
      await start();
      break;
    } catch (error) {
      const text = await log();
      if (options.port === undefined && tries < 5 && text.includes('could not bind')) {
        port = await freePort();
        await rm(join(dir, 'log'), { force: true });
        continue;
      }
      if (!options.dir) await rm(dir, { recursive: true, force: true });
      throw new Error(`PostgreSQL ${version} did not start: ${text.slice(-2000)}`, { cause: error });
    }
  }

  const access = { host: '127.0.0.1', ...superuser };
  const server: PostgresServer = {
    version,
    ...access,
    dataDir,
    ...(certificates ? { certificates } : {}),
    get port() {
      return port;
    },
    get url() {
      return postgresUrl({ ...access, port }, 'postgres');
    },
    get pid() {
      return running.pid;
    },
    createDatabase: (name) => createDatabase(server, name),
    database: (name) => databaseAt(server, name),
    log,
    async stop() {
      if (running.exitCode === undefined) await running.stop();
      if (!options.dir) await rm(dir, { recursive: true, force: true });
    },
    async kill9() {
      const family = [running.pid, ...(await childrenOf(running.pid))];
      for (const pid of family) kill(pid, 'SIGKILL');
      await running.exited;
      while (family.some((pid) => kill(pid, 0))) await sleep(5);
    },
    async restart() {
      if (running.exitCode === undefined) {
        kill(running.pid, 'SIGINT');
        await running.exited;
      }
      await start();
    },
  };
  return server;
}

/** The eighth line of postmaster.pid tells the state: no connection has to be tried. */
async function ready(dataDir: string, running: Supervised): Promise<void> {
  for (let waited = 0; waited < 60_000; waited += 10) {
    const lines = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').then((text) => text.split('\n'), () => []);
    if (Number(lines[0]) === running.pid && lines[7]?.trim() === 'ready') return;
    if (running.exitCode !== undefined) throw new Error('it exited');
    await sleep(10);
  }
  throw new Error('it was not ready after a minute');
}

async function prepareTls(dir: string, hosts: readonly string[]): Promise<Certificates> {
  const certificates = await makeCertificates(join(dir, 'tls'), hosts);
  const user = serverUser();
  if (user) for (const path of [join(dir, 'tls'), ...Object.values(certificates)]) await chown(path, user.uid, user.gid);
  return certificates;
}

async function prepend(file: string, lines: readonly string[]): Promise<void> {
  await writeFile(file, `${lines.join('\n')}\n${await readFile(file, 'utf8')}`);
}

async function childrenOf(pid: number): Promise<number[]> {
  const children: number[] = [];
  for (const entry of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid) children.push(Number(entry));
  }
  return children;
}

function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
