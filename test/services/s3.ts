import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort } from './free-port.js';
import { serverFolder } from './postgres-binaries.js';
import { runCommand } from './run-command.js';
import { supervise, type Supervised } from './supervise.js';
import { cacheDir, workspaceRoot } from './workspace.js';

export interface S3Access {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly region: string;
}

export interface S3Server extends S3Access {
  /** Where versitygw keeps buckets as folders and objects as files. */
  readonly dir: string;
  readonly pid: number;
  client(): S3Client;
  /** Makes a bucket and gives its name. */
  createBucket(name?: string): Promise<string>;
  log(): Promise<string>;
  stop(): Promise<void>;
  kill9(): Promise<void>;
  /** On the same port with the same objects. */
  restart(): Promise<void>;
}

interface Installed {
  readonly kind: 'versitygw' | 'seaweedfs';
  readonly command: string;
}

const credentials = { accessKey: 'tapline-test', secretKey: 'secret-of-the-tests', region: 'us-east-1' } as const;

export async function startS3(options: { port?: number } = {}): Promise<S3Server> {
  const installed = await installedServer();
  const dir = await serverFolder('s3');
  const objects = join(dir, 'objects');
  await mkdir(objects);
  let port = options.port ?? (await freePort());
  let running: Supervised;
  const log = () => readFile(join(dir, 'log'), 'utf8').catch(() => '');
  const start = async () => {
    running = await supervise({ ...(await launch(installed, { dir, objects, port })), dir });
    await ready(server, running);
  };
  const server: S3Server = {
    ...credentials,
    get endpoint() {
      return `http://127.0.0.1:${port}`;
    },
    dir: objects,
    get pid() {
      return running.pid;
    },
    client: () => s3Client(server),
    createBucket: (name) => createBucket(server, name),
    log,
    async stop() {
      if (running.exitCode === undefined) await running.stop();
      await rm(dir, { recursive: true, force: true });
    },
    async kill9() {
      process.kill(running.pid, 'SIGKILL');
      await running.exited;
    },
    async restart() {
      if (running.exitCode === undefined) {
        process.kill(running.pid, 'SIGTERM');
        await running.exited;
      }
      await start();
    },
  };
  for (let tries = 1; ; tries++) {
    try {
      await start();
      break;
    } catch (error) {
      const text = await log();
      if (options.port === undefined && tries < 5 && text.includes('address already in use')) {
        port = await freePort();
        await rm(join(dir, 'log'), { force: true });
        continue;
      }
      await rm(dir, { recursive: true, force: true });
      throw new Error(`the S3 server (${installed.kind}) did not start: ${text.slice(-2000)}`, { cause: error });
    }
  }
  return server;
}

export function s3Client(access: S3Access): S3Client {
  return new S3Client({
    endpoint: access.endpoint,
    region: access.region,
    forcePathStyle: true,
    credentials: { accessKeyId: access.accessKey, secretAccessKey: access.secretKey },
  });
}

export async function createBucket(access: S3Access, name = `t-${randomBytes(6).toString('hex')}`): Promise<string> {
  const client = s3Client(access);
  try {
    await client.send(new CreateBucketCommand({ Bucket: name }));
  } finally {
    client.destroy();
  }
  return name;
}

/** scripts/servers.mjs installs it and leaves its address in the cache; `npm test` has done so before. */
async function installedServer(): Promise<Installed> {
  await runCommand(process.execPath, [join(workspaceRoot, 'scripts', 'servers.mjs')], { cwd: workspaceRoot });
  return JSON.parse(await readFile(join(cacheDir, 's3-server.json'), 'utf8')) as Installed;
}

async function launch(installed: Installed, at: { dir: string; objects: string; port: number }) {
  const address = `127.0.0.1:${at.port}`;
  if (installed.kind === 'versitygw') {
    return {
      command: installed.command,
      args: ['--port', address, '--region', credentials.region, '--quiet', 'posix', at.objects],
      env: { ROOT_ACCESS_KEY: credentials.accessKey, ROOT_SECRET_KEY: credentials.secretKey },
      stopSignal: 'TERM' as const,
    };
  }
  const { accessKey, secretKey } = credentials;
  const identity = { name: 'tapline', credentials: [{ accessKey, secretKey }], actions: ['Admin', 'Read', 'Write', 'List', 'Tagging'] };
  await writeFile(join(at.dir, 's3.json'), JSON.stringify({ identities: [identity] }));
  // Each part has a port for HTTP and one for its own protocol, which would be the first and 10,000.
  const parts = ['master.port', 'volume.port', 'filer.port', 'master.port.grpc', 'volume.port.grpc', 'filer.port.grpc', 's3.port.grpc'];
  const ports = await Promise.all(parts.map(async (part) => `-${part}=${await freePort()}`));
  return {
    command: installed.command,
    args: [
      'server', `-dir=${at.objects}`, '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-s3', `-s3.port=${at.port}`, `-s3.config=${join(at.dir, 's3.json')}`,
      ...ports, '-s3.port.iceberg=0', '-s3.port.lance=0', '-master.telemetry=false', '-master.volumeSizeLimitMB=64', '-volume.max=20',
    ],
    // It takes its time over SIGTERM, and its data are thrown away.
    stopSignal: 'KILL' as const,
  };
}

/** It answers as a store, not only as a port. */
async function ready(access: S3Access, running: Supervised): Promise<void> {
  for (let waited = 0; waited < 60_000; waited += 20) {
    if (running.exitCode !== undefined) throw new Error('it exited');
    if (await answers(access)) return;
    await sleep(20);
  }
  throw new Error('it did not answer after a minute');
}

async function answers(access: S3Access): Promise<boolean> {
  const { hostname, port } = new URL(access.endpoint);
  const open = await new Promise<boolean>((resolve) => {
    const socket = connect(Number(port), hostname);
    socket.once('connect', () => socket.destroy() && resolve(true));
    socket.once('error', () => resolve(false));
  });
  if (!open) return false;
  const client = s3Client(access);
  return client.send(new ListBucketsCommand({})).then(() => true, () => false).finally(() => client.destroy());
}
