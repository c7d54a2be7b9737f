import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

/** One process of /proc, as far as a bench needs it. Times in seconds. */
export interface ProcessSample {
  readonly pid: number;
  readonly parent: number;
  readonly ownCpu: number;
  /** Of its children that have ended and been waited for. */
  readonly childrenCpu: number;
  readonly rssBytes: number;
}

const ticksPerSecond = 100;
const pageSize = 4096;

export function sampleProcess(pid: number | 'self'): ProcessSample | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ').map(Number);
    const at = (index: number) => fields[index] ?? 0;
    return {
      pid: Number.parseInt(stat, 10),
      parent: at(1),
      ownCpu: (at(11) + at(12)) / ticksPerSecond,
      childrenCpu: (at(13) + at(14)) / ticksPerSecond,
      rssBytes: at(21) * pageSize,
    };
  } catch {
    return undefined;
  }
}

/** That process and everything below it. */
export function sampleTree(root: number): ProcessSample[] {
  const all = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => sampleProcess(Number(entry)))
    .filter((found) => found !== undefined);
  const inTree = new Set([root]);
  for (let size = 0; size !== inTree.size; ) {
    size = inTree.size;
    for (const { pid, parent } of all) if (inTree.has(parent)) inTree.add(pid);
  }
  return all.filter(({ pid }) => inTree.has(pid));
}

/** Memory that is shared counts for each of its users in part, so that a sum over processes is what they really take. */
export function pssBytes(pid: number): number {
  try {
    const line = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    return Number(line?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

const ramDisk = '/dev/shm';

/** Files that runners among these processes keep on the RAM disk: no process's pages, and memory all the same. In bytes. */
export function ramDiskBytes(pids: ReadonlySet<number>): number {
  const folders = entries(ramDisk).filter((name) => pids.has(Number(/^tapline-batches-\d+-(\d+)-/.exec(name)?.[1])));
  const files = folders.flatMap((folder) => entries(join(ramDisk, folder), true).map((name) => join(ramDisk, folder, name)));
  return files.reduce((sum, file) => {
    const found = statSync(file, { throwIfNoEntry: false });
    return sum + (found?.isFile() ? found.size : 0);
  }, 0);
}

/** None of a folder that is gone. */
function entries(folder: string, recursive = false): string[] {
  try {
    return readdirSync(folder, { recursive, encoding: 'utf8' });
  } catch {
    return [];
  }
}

/** What a process calls itself: the file that Node runs, else its program. */
export function processName(pid: number): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter((word) => !word.startsWith('-'));
    return basename(words.find((word) => /\.m?js$/.test(word)) ?? words[0] ?? '').split(' ')[0] ?? '';
  } catch {
    return '';
  }
}

/** CPU that a server spent so far: its processes that live, and those that have ended. */
export function serverCpu(pid: number): number {
  return sampleTree(pid).reduce((sum, { ownCpu, childrenCpu }) => sum + ownCpu + childrenCpu, 0);
}
