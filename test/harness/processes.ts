import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process as /proc tells it. `state`: R, S, T (stopped), Z (dead, not yet reaped) … */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
  /** The command line, its words joined by spaces. */
  readonly command: string;
}

export function processInfo(pid: number): ProcessInfo | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return { pid, parent: Number(parent), state: state ?? '', command };
  } catch {
    return undefined;
  }
}

/** Dead, or a zombie that only waits for its parent. */
export function isGone(pid: number): boolean {
  const info = processInfo(pid);
  return !info || info.state === 'Z';
}

/** Children, their children and so on, at this instant. */
export function descendantsOf(pid: number): ProcessInfo[] {
  const all = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => processInfo(Number(entry)))
    .filter((info) => info !== undefined);
  const found: ProcessInfo[] = [];
  let parents = new Set([pid]);
  while (parents.size > 0) {
    const next = all.filter((info) => parents.has(info.parent));
    found.push(...next);
    parents = new Set(next.map((info) => info.pid));
  }
  return found;
}

/** Polls until `condition` gives something other than undefined or false. */
export async function until<T>(what: string, condition: () => T | undefined | false | Promise<T | undefined | false>, timeoutMs = 20_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s in vain: ${what}`);
    await sleep(10);
  }
}

export const untilGone = (pid: number, timeoutMs = 15_000): Promise<true> => until(`process ${pid} ends`, () => isGone(pid), timeoutMs);

export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
