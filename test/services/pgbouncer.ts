/** A PgBouncer in front of a server, as many have one. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';
import { serverFolder } from './postgres-binaries.js';
import { runCommand } from './run-command.js';
import { serverUser } from './server-user.js';
import { supervise } from './supervise.js';
import type { PostgresAccess } from './test-database.js';
import { cacheDir, workspaceRoot } from './workspace.js';

export interface Pgbouncer {
  readonly host: string;
  readonly port: number;
  /** As it calls itself, such as 1.18.0. */
  readonly release: string;
  stop(): Promise<void>;
}

/** Throws if there is none on this machine, and none could be fetched. It admits everybody, and comes to the server as `upstream` says. */
export async function startPgbouncer(upstream: PostgresAccess, poolMode: 'session' | 'transaction' | 'statement' = 'session'): Promise<Pgbouncer> {
  const installed = await findPgbouncer();
  if (!installed) throw new Error('there is no PgBouncer on this machine, and none could be fetched from Debian');
  const dir = await serverFolder('pgbouncer');
  const user = serverUser();
  const config = join(dir, 'pgbouncer.ini');
  const { command, env, release } = await install(installed, dir);
  for (let tries = 1; ; tries++) {
    const port = await freePort();
    const { host, user: name, password } = upstream;
    await writeFile(
      config,
      `[databases]\n* = host=${host} port=${upstream.port} user=${name} password='${password.replaceAll("'", "''")}'\n\n` +
        `[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = any\npool_mode = ${poolMode}\nignore_startup_parameters = extra_float_digits\n`,
    );
    if (user) for (const path of [dir, config]) await chown(path, user.uid, user.gid);
    const running = await supervise({ command, args: [config], dir, stopSignal: 'INT', user, env });
    for (let waited = 0; waited < 10_000 && running.exitCode === undefined; waited += 20) {
      if (/listening on 127\.0\.0\.1/.test(await readFile(join(dir, 'log'), 'utf8').catch(() => ''))) {
        return {
          host: '127.0.0.1',
          port,
          release,
          async stop() {
            if (running.exitCode === undefined) await running.stop();
            await rm(dir, { recursive: true, force: true });
          },
        };
      }
      await sleep(20);
    }
    const log = await readFile(join(dir, 'log'), 'utf8').catch(() => '');
    if (running.exitCode === undefined) await running.stop();
    if (tries < 5 && /in use/.test(log)) continue;
    await rm(dir, { recursive: true, force: true });
    throw new Error(`PgBouncer did not start: ${log.slice(-2000)}`);
  }
}

type Found = { readonly system: string } | { readonly unpacked: string };

/** scripts/servers.mjs fetches it, if it can. */
async function findPgbouncer(): Promise<Found | undefined> {
  const given = process.env['PGBOUNCER'];
  if (given) return { system: given };
  await runCommand(process.execPath, [join(workspaceRoot, 'scripts', 'servers.mjs')], { cwd: workspaceRoot });
  if (existsSync('/usr/sbin/pgbouncer')) return { system: '/usr/sbin/pgbouncer' };
  const unpacked = join(cacheDir, 'pgbouncer');
  return existsSync(unpacked) ? { unpacked } : undefined;
}

/** What is in the cache is copied beside the configuration: a clone below a private folder hides it from the user that it runs as. */
async function install(found: Found, dir: string): Promise<{ command: string; env: Record<string, string>; release: string }> {
  const program = join(dir, 'program');
  if ('unpacked' in found) await runCommand('cp', ['-R', found.unpacked, program]);
  const command = 'system' in found ? found.system : join(program, 'usr', 'sbin', 'pgbouncer');
  const libraries = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((name) => join(program, 'usr', 'lib', name));
  const env: Record<string, string> = 'system' in found ? {} : { LD_LIBRARY_PATH: libraries.join(':') };
  const said = execFileSync(command, ['--version'], { encoding: 'utf8', env: { ...process.env, ...env } });
  return { command, env, release: /PgBouncer (\S+)/.exec(said)?.[1] ?? 'unknown' };
}
