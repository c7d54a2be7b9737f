/** What this process may use: a container's limit, not the host's memory. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';

/** Bytes, by cgroup v2, then v1, then the machine. */
export function memoryLimit(): number {
  for (const file of ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']) {
    try {
      const limit = Number(readFileSync(file, 'utf8'));
      if (Number.isFinite(limit) && limit > 0) return Math.min(limit, totalmem());
    } catch {
      // Not this kind of system: the next.
    }
  }
  return totalmem();
}
