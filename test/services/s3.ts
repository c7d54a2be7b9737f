import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
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
    await listening(port, running);
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
  const server: S3Server = {
    ...credentials,
    endpoint: `http://127.0.0.1:${port}`,
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
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  return {
    command: installed.command,
    args: [
      'server', `-dir=${at.objects}`, '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-s3', `-s3.port=${at.port}`, `-s3.config=${join(at.dir, 's3.json')}`,
      `-master.port=${ports[0]}`, `-volume.port=${ports[1]}`, `-filer.port=${ports[2]}`, '-master.volumeSizeLimitMB=64', '-volume.max=20',
    ],
    stopSignal: 'TERM' as const,
  };
}

async function listening(port: number, running: Supervised): Promise<void> {
  for (let waited = 0; waited < 30_000; waited += 20) {
    if (running.exitCode !== undefined) throw new Error('it exited');
    if (await answers(port)) return;
    await sleep(20);
  }
  throw new Error('it did not listen after half a minute');
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => socket.destroy() && resolve(true));
    socket.once('error', () => resolve(false));
  });
}
