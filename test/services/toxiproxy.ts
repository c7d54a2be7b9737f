/** Shopify's toxiproxy between a client and a server: a network that can be made slow, cut and silent. */
import { access, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';
import { serverFolder } from './postgres-binaries.js';
import { runCommand } from './run-command.js';
import { supervise, type Supervised } from './supervise.js';
import { cacheDir, workspaceRoot } from './workspace.js';

export interface NetworkProxy {
  readonly host: string;
  /** Stays the same while the server behind it comes and goes. */
  readonly port: number;
  readonly pid: number;
  /** Every packet, in both directions, comes that much later. */
  latency(ms: number): Promise<void>;
  /** Ends all connections with a reset, new ones too, until restore(). */
  cut(): Promise<void>;
  /** Nothing comes through, in either direction, and nobody is told; restore() ends the connections that it caught. */
  stall(): Promise<void>;
  restore(): Promise<void>;
  stop(): Promise<void>;
}

/** undefined: there is none on this machine, and no Go to build it with. */
export async function startToxiproxy(upstream: { host: string; port: number }): Promise<NetworkProxy | undefined> {
  const command = await installedToxiproxy();
  if (!command) return undefined;
  const dir = await serverFolder('toxiproxy');
  for (let tries = 1; ; tries++) {
    const apiPort = await freePort();
    const running = await supervise({ command, args: ['-host', '127.0.0.1', '-port', String(apiPort)], dir, stopSignal: 'TERM' });
    if (await answers(apiPort, running)) return proxyOf({ api: `http://127.0.0.1:${apiPort}`, upstream, running, dir });
    if (tries < 5) continue;
    const log = await readFile(join(dir, 'log'), 'utf8').catch(() => '');
    await rm(dir, { recursive: true, force: true });
    throw new Error(`toxiproxy did not start: ${log.slice(-2000)}`);
  }
}

interface Parts {
  readonly api: string;
  readonly upstream: { host: string; port: number };
  readonly running: Supervised;
  readonly dir: string;
}

async function proxyOf({ api, upstream, running, dir }: Parts): Promise<NetworkProxy> {
  const ask = async (method: string, path: string, body?: object): Promise<Record<string, unknown>> => {
    const response = await fetch(`${api}${path}`, { method, ...(body ? { body: JSON.stringify(body) } : {}), signal: AbortSignal.timeout(10_000) });
    const text = await response.text();
    if (!response.ok) throw new Error(`toxiproxy: ${method} ${path}: ${response.status} ${text}`);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  };
  const made = await ask('POST', '/proxies', { name: 'server', listen: '127.0.0.1:0', upstream: `${upstream.host}:${upstream.port}`, enabled: true });
  const toxic = (type: string, attributes: object) =>
    Promise.all(['upstream', 'downstream'].map((stream) => ask('POST', '/proxies/server/toxics', { name: `${type}-${stream}`, type, stream, attributes })));
  return {
    host: '127.0.0.1',
    port: Number(String(made['listen']).split(':').at(-1)),
    pid: running.pid,
    latency: async (ms) => void (await toxic('latency', { latency: ms })),
    // Its port stays bound: closed and opened again, it might be somebody else's meanwhile.
    cut: async () => void (await toxic('reset_peer', { timeout: 0 })),
    stall: async () => void (await toxic('timeout', { timeout: 0 })),
    async restore() {
      const toxics = (await ask('GET', '/proxies/server'))['toxics'] as { name: string }[];
      for (const { name } of toxics) await ask('DELETE', `/proxies/server/toxics/${name}`);
    },
    async stop() {
      if (running.exitCode === undefined) await running.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** scripts/servers.mjs builds it, if it can. */
async function installedToxiproxy(): Promise<string | undefined> {
  const given = process.env['TOXIPROXY'];
  if (given) return given;
  await runCommand(process.execPath, [join(workspaceRoot, 'scripts', 'servers.mjs')], { cwd: workspaceRoot });
  const command = join(cacheDir, 'bin', 'toxiproxy-2.5.0');
  return access(command).then(() => command, () => undefined);
}

async function answers(port: number, running: Supervised): Promise<boolean> {
  for (let waited = 0; waited < 20_000 && running.exitCode === undefined; waited += 20) {
    const up = await fetch(`http://127.0.0.1:${port}/version`).then((response) => response.ok, () => false);
    if (up) return true;
    await sleep(20);
  }
  return false;
}
