/**
 * What makes a process the one that was recorded: its number alone is used again. Linux tells the start in clock ticks
 * since the boot; elsewhere `ps` tells it in seconds.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal for the same process. '' = not known. */
  readonly start: string;
  /** '' where the system has none. */
  readonly boot: string;
}

export function identify(pid: number): ProcessIdentity {
  return { pid, start: startOf(pid) ?? '', boot: bootId() };
}

/** Is the recorded process still there? One that ended but was not waited for (a zombie) is not. */
export function isAlive(recorded: ProcessIdentity): boolean {
  if (recorded.boot !== bootId()) return false;
  const start = startOf(recorded.pid);
  return start !== undefined && start === recorded.start;
}

let boot: string | undefined;
function bootId(): string {
  try {
    boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    boot = '';
  }
  return boot;
}

/** undefined = no such process. */
function startOf(pid: number): string | undefined {
  if (process.platform !== 'linux') return startByPs(pid);
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The program's name stands in parentheses and may hold anything, parentheses too: count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function startByPs(pid: number): string | undefined {
  try {
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return text === '' ? undefined : text;
  } catch {
    return undefined;
  }
}
