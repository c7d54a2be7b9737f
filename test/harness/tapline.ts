/** The real command line, as a user starts it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { workspaceRoot } from '../services/workspace.js';
import { descendantsOf, signal, until, untilGone, type ProcessInfo } from './processes.js';

export interface Summary {
  readonly type: 'summary';
  readonly status: 'succeeded' | 'partial' | 'failed' | 'interrupted';
  readonly sync: string;
  readonly records: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly streams: readonly { namespace?: string; name: string; status: string; records: number; bytes: number }[];
  readonly states_saved: number;
  readonly error?: { readonly kind: string; readonly message: string };
}

export interface Outcome {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout as JSON lines; empty if it is none. */
  readonly messages: readonly Record<string, unknown>[];
  /** The last line, if it is a summary. */
  readonly summary: Summary | undefined;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** SIGKILL after so long: a test that hangs says where. */
  readonly timeoutMs?: number;
  /** Without the powers of root over file permissions. */
  readonly unprivileged?: boolean;
}

/** A command that runs. */
export interface Running {
  readonly pid: number;
  readonly done: Promise<Outcome>;
  /** What it wrote to stderr so far. */
  stderr(): string;
  kill(signal: NodeJS.Signals): void;
  /** Its connector of that role, while `read` or `write` runs; undefined if there is none now. */
  connector(role: 'source' | 'destination'): ProcessInfo | undefined;
  /** Waits until both connectors run. */
  connectors(): Promise<{ source: number; destination: number }>;
}

const program = join(workspaceRoot, 'runner', 'bin', 'tapline.js');
const baseEnv: Record<string, string> = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', LANG: 'C.UTF-8', TZ: 'Asia/Kathmandu' };

export function start(args: readonly string[], options: RunOptions = {}): Running {
  const drop = options.unprivileged && process.getuid?.() === 0 ? ['setpriv', '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'] : [];
  const [command, ...rest] = [...drop, process.execPath, program, ...args];
  const child = spawn(command!, rest, {
    cwd: options.cwd,
    env: { ...baseEnv, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 120_000);
  const done = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject);
    // 'exit', not 'close': a connector that outlives a killed runner may hold the pipes open.
    child.once('exit', (exitCode, signal) => {
      clearTimeout(timer);
      setImmediate(() => setTimeout(() => resolve(outcomeOf(exitCode, signal, text(out), text(err))), 20));
    });
  });
  const pid = child.pid ?? 0;
  const connector = (role: 'source' | 'destination') => {
    const verb = role === 'source' ? /\bread\b/ : /\bwrite\b/;
    return descendantsOf(pid).find((info) => info.state !== 'Z' && info.command.includes(role) && verb.test(info.command));
  };
  return {
    pid,
    done,
    stderr: () => text(err),
    kill: (name) => void child.kill(name),
    connector,
    connectors: () =>
      until('both connectors run', () => {
        const source = connector('source');
        const destination = connector('destination');
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the runner ended before both connectors ran:\n${text(err)}`);
        return source && destination && { source: source.pid, destination: destination.pid };
      }),
  };
}

/** Kills the runner and its source: the destination is alone, wherever it is just now. */
export async function leaveDestination(run: Running): Promise<void> {
  const source = run.connector('source');
  run.kill('SIGKILL');
  await run.done;
  if (!source) return;
  signal(source.pid, 'SIGKILL');
  await untilGone(source.pid);
}

/** Runs a command to its end. */
export const tapline = (args: readonly string[], options: RunOptions = {}): Promise<Outcome> => start(args, options).done;

const text = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString('utf8');

function outcomeOf(exitCode: number | null, signal: NodeJS.Signals | null, stdout: string, stderr: string): Outcome {
  let messages: Record<string, unknown>[] = [];
  try {
    messages = stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Record<string, unknown>);
  } catch {
    // Not JSON lines; a test that needs them fails on their absence.
  }
  const last = messages.at(-1);
  return { exitCode, signal, stdout, stderr, messages, summary: last?.['type'] === 'summary' ? (last as unknown as Summary) : undefined };
}
