import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { startPostgres, startS3 } from './index.js';
import { testBucket, testDatabase } from './shared.js';
import { workspaceRoot } from './workspace.js';

describe('PostgreSQL for tests', () => {
  test.each([14, 18] as const)('version %i is shared, and each test has a database of its own', async (version) => {
    const first = await testDatabase(version);
    const second = await testDatabase(version);
    await first.query('CREATE TABLE only_here (id int)');
    expect(await second.query(`SELECT to_regclass('only_here') AS found`)).toEqual([{ found: null }]);
    const [row] = await first.query<{ version: string }>('SHOW server_version');
    expect(Object.values(row ?? {})[0]).toMatch(new RegExp(`^${version}\\.`));
  });

  test('a killed server comes back on its port with what was committed', async () => {
    const server = await startPostgres();
    try {
      const database = await server.createDatabase();
      await database.query('CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id');
      const before = server.pid;
      await server.kill9();
      await expect(database.query('SELECT 1')).rejects.toThrow();
      await server.restart();
      expect(server.pid).not.toBe(before);
      expect(await database.query('SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 1000 }]);
      await server.restart();
      expect(await database.query('SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 1000 }]);
    } finally {
      await server.stop();
    }
    expect(existsSync(server.dataDir)).toBe(false);
  });

  test('with ssl, a client that trusts the CA reaches it by the name in its certificate only', async () => {
    const server = await startPostgres({ ssl: true });
    const { readFile } = await import('node:fs/promises');
    const connectTo = async (host: string, caFile: string) => {
      const { port, user, password } = server;
      const client = new pg.Client({ host, port, user, password, database: 'postgres', ssl: { ca: await readFile(caFile, 'utf8') } });
      await client.connect();
      await client.end();
    };
    try {
      const { ca, otherCa } = server.certificates ?? { ca: '', otherCa: '' };
      await connectTo('localhost', ca);
      await expect(connectTo('localhost', otherCa)).rejects.toThrow(/certificate/);
      await expect(connectTo('127.0.0.1', ca)).rejects.toThrow(/altnames|IP/);
    } finally {
      await server.stop();
    }
  });
});

describe('S3 for tests', () => {
  test('a second PUT with If-None-Match is refused', async () => {
    const { client, bucket } = await testBucket();
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'a', Body: '1', IfNoneMatch: '*' }));
    const second = client.send(new PutObjectCommand({ Bucket: bucket, Key: 'a', Body: '2', IfNoneMatch: '*' }));
    await expect(second).rejects.toMatchObject({ $metadata: { httpStatusCode: 412 } });
  });

  test('objects outlive a kill of the store', async () => {
    const store = await startS3();
    try {
      const bucket = await store.createBucket();
      const client = store.client();
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'a', Body: '1' }));
      await store.kill9();
      await store.restart();
      expect((await client.send(new HeadObjectCommand({ Bucket: bucket, Key: 'a' }))).ContentLength).toBe(1);
    } finally {
      await store.stop();
    }
  });
});

test('servers of a process that was killed are gone within seconds, and so are their folders', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tapline-orphan-'));
  const script = join(dir, 'start.mjs');
  const services = join(workspaceRoot, 'test', 'dist', 'services', 'index.js');
  await writeFile(
    script,
    `import { startPostgres, startS3 } from ${JSON.stringify(services)};
     const [pg, s3] = await Promise.all([startPostgres(), startS3()]);
     console.log(JSON.stringify({ pids: [pg.pid, s3.pid], dirs: [pg.dataDir, s3.dir] }));
     setInterval(() => {}, 1000);`,
  );
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await new Promise<string>((resolve) => child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString())));
  const { pids, dirs } = JSON.parse(line) as { pids: number[]; dirs: string[] };
  const there = () => pids.some((pid) => existsSync(`/proc/${pid}`)) || dirs.some((path) => existsSync(path));
  // Asked before: they may be gone as soon as the process is.
  expect(pids.every((pid) => existsSync(`/proc/${pid}`))).toBe(true);
  child.kill('SIGKILL');
  for (let waited = 0; waited < 10_000 && there(); waited += 50) await sleep(50);
  expect(there()).toBe(false);
  await rm(dir, { recursive: true });
});
