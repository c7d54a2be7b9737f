import { spawn } from 'node:child_process';
import { processName, pssBytes, ramDiskBytes, sampleProcess, sampleTree, serverCpu } from './proc.js';

export interface Measured {
  readonly wallSeconds: number;
  /** Of the command and all its descendants, from the kernel's own account. */
  readonly cpuSeconds: number;
  /** Of the PostgreSQL beside it. */
  readonly postgresCpuSeconds: number;
  /** Highest sum over the tree that a sample saw. */
  readonly peakRssBytes: number;
  /** With what their batches take on a RAM disk. */
  readonly peakPssBytes: number;
  /** PSS of each process, and the RAM disk, when their sum was highest. */
  readonly atPeak: Readonly<Record<string, number>>;
  /** CPU of each process as the last sample saw it: a little less than the whole. */
  readonly cpuOf: Readonly<Record<string, number>>;
  readonly stdout: string;
}

export interface MeasureOptions {
  readonly postgresPid?: number;
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Memory costs a little to watch. Default: as {@link watchMemory} says, and yes until then. */
  readonly memory?: boolean;
}

let watches = true;
/** Whether runs from here on are watched: in those that are timed it would cost whoever has many processes most. */
export const watchMemory = (on: boolean): void => void (watches = on);

// What is looked at costs what is measured: all processes of the machine are listed twice a second, once the tree has grown, and PSS is counted page by page.
const lookEveryMs = 100;
const listEvery = 5;
const pssEvery = 3;
const growsForLooks = 10;

/** Runs a command to its end, one at a time: CPU is what our ended children account for. Fails if it fails. */
export async function measure(command: string, args: readonly string[], options: MeasureOptions = {}): Promise<Measured> {
  const { postgresPid, cwd, env, memory = watches } = options;
  const postgresBefore = postgresPid ? serverCpu(postgresPid) : 0;
  const cpuBefore = sampleProcess('self')?.childrenCpu ?? 0;
  const begin = process.hrtime.bigint();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(cwd ? { cwd } : {}), env: { ...process.env, ...env } });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const peak = { rss: 0, pss: 0, by: {} as Record<string, number> };
  const cpuOf: Record<string, number> = {};
  let looks = 0;
  let pids: readonly number[] = [];
  const watch = memory
    ? setInterval(() => {
        const list = looks < growsForLooks || looks % listEvery === 0;
        const tree = list ? sampleTree(child.pid ?? 0) : pids.map(sampleProcess).filter((found) => found !== undefined);
        pids = tree.map(({ pid }) => pid);
        peak.rss = Math.max(peak.rss, tree.reduce((sum, { rssBytes }) => sum + rssBytes, 0));
        for (const { pid, ownCpu } of tree) {
          const name = processName(pid);
          if (name) cpuOf[name] = Math.max(cpuOf[name] ?? 0, ownCpu);
        }
        if (looks++ % pssEvery !== 0) return;
        const ram = ramDiskBytes(new Set(pids));
        const each = [...pids.map((pid) => [processName(pid), pssBytes(pid)] as const), ...(ram > 0 ? [['RAM disk', ram] as const] : [])];
        const sum = each.reduce((all, [, bytes]) => all + bytes, 0);
        if (sum > peak.pss) Object.assign(peak, { pss: sum, by: Object.fromEntries(each) });
      }, lookEveryMs)
    : undefined;
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const wallSeconds = Number(process.hrtime.bigint() - begin) / 1e9;
  clearInterval(watch);
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')} exited with ${String(code)}:\n${Buffer.concat([...stdout.slice(-3), ...stderr]).toString().slice(-3000)}`);
  return {
    wallSeconds,
    cpuSeconds: (sampleProcess('self')?.childrenCpu ?? 0) - cpuBefore,
    postgresCpuSeconds: postgresPid ? serverCpu(postgresPid) - postgresBefore : 0,
    peakRssBytes: peak.rss,
    peakPssBytes: peak.pss,
    atPeak: peak.by,
    cpuOf,
    stdout: Buffer.concat(stdout).toString(),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

export type Median = Omit<Measured, 'stdout' | 'atPeak' | 'cpuOf'>;

/** The median of each number over several runs. */
export function medianOf(runs: readonly Measured[]): Median {
  const of = (pick: (run: Measured) => number) => median(runs.map(pick));
  return {
    wallSeconds: of((run) => run.wallSeconds),
    cpuSeconds: of((run) => run.cpuSeconds),
    postgresCpuSeconds: of((run) => run.postgresCpuSeconds),
    peakRssBytes: of((run) => run.peakRssBytes),
    peakPssBytes: of((run) => run.peakPssBytes),
  };
}
