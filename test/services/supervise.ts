import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerUser } from './server-user.js';

export interface SuperviseOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Holds the log, and is removed with the server. Belongs to the server's user. */
  readonly dir: string;
  readonly stopSignal: 'TERM' | 'QUIT' | 'INT' | 'KILL';
  readonly user?: ServerUser | undefined;
  readonly env?: Record<string, string>;
  /** Leave the directory when the server is stopped. */
  readonly keep?: boolean;
}

export interface Supervised {
  readonly pid: number;
  /** Undefined while it runs. */
  readonly exitCode: number | undefined;
  readonly exited: Promise<void>;
  /** Ends the server and removes its directory. */
  stop(): Promise<void>;
}

/*
 * The server is the child of a shell that reads a pipe which only we hold. However we end (kill -9 too), the pipe ends, and the shell
 * stops the server and removes its directory: no process stays behind. The shell has a session of its own, so that Ctrl-C and the killing
 * of our process group reach it only through the pipe. It writes to nothing that can break. It ends last: whoever has seen its end finds
 * nothing of it left.
 */
const script = `
dir=$1; keep=$2; signal=$3; shift 3
exec 3<&0
"$@" </dev/null >>"$dir/log" 2>&1 3<&- &
pid=$!
(
  read -r _ <&3
  : >"$dir/stopped"
  kill -"$signal" $pid
  tries=0
  while kill -0 $pid && [ $tries -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
  kill -KILL $pid
) 2>/dev/null &
watch=$!
exec 3<&-
echo $pid >"$dir/pid.new" && mv "$dir/pid.new" "$dir/pid"
wait $pid
code=$?
if [ -e "$dir/stopped" ]; then rm -f "$dir/stopped"; [ "$keep" = keep ] || rm -rf "$dir"; else kill $watch; fi
wait $watch
exit $code
`;

export async function supervise(options: SuperviseOptions): Promise<Supervised> {
  const { command, args, dir, stopSignal, user } = options;
  const pidFile = join(dir, 'pid');
  closeSync(openSync(pidFile, 'w'));
  if (user) (await import('node:fs')).chownSync(pidFile, user.uid, user.gid);
  const shell = spawn('/bin/sh', ['-c', script, 'sh', dir, options.keep ? 'keep' : 'remove', stopSignal, command, ...args], {
    cwd: dir,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LANG: 'C', HOME: dir, ...options.env },
    ...user,
  });
  const exited = new Promise<void>((resolve, reject) => {
    shell.once('exit', () => resolve());
    shell.once('error', reject);
  });
  shell.unref();
  (shell.stdin as unknown as { unref(): void }).unref();
  shell.stdin?.on('error', () => {});
  const pid = await pidOf(shell, pidFile);
  return {
    pid,
    exited,
    get exitCode() {
      return shell.exitCode ?? (shell.signalCode ? 1 : undefined);
    },
    async stop() {
      shell.ref();
      shell.stdin?.end();
      await exited;
    },
  };
}

async function pidOf(shell: ChildProcess, pidFile: string): Promise<number> {
  for (let waited = 0; waited < 10_000; waited += 5) {
    const pid = readPid(pidFile);
    if (pid) return pid;
    if (shell.exitCode !== null) break;
    await sleep(5);
  }
  throw new Error(`the supervisor of a test server did not start (exit ${String(shell.exitCode)})`);
}

function readPid(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    // It is removed with the directory if the server died at once; the caller finds that out by its exit.
    return 0;
  }
}
