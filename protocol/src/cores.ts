/** How many cores this process may use: those that it may run on, and no more than its cgroup's quota. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

export function cores(cgroup = '/sys/fs/cgroup'): number {
  const quota = quotaOf(cgroup);
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(quota)));
}

/** Cores, by cgroup v2, then v1; Infinity: no quota. */
function quotaOf(cgroup: string): number {
  const [quota, period] = read(`${cgroup}/cpu.max`)?.split(' ') ?? [read(`${cgroup}/cpu/cpu.cfs_quota_us`), read(`${cgroup}/cpu/cpu.cfs_period_us`)];
  const share = Number(quota) / Number(period);
  return share > 0 ? share : Infinity;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
