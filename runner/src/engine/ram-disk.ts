/** Where a run's batches may lie in memory, and how much of it they may take. */
import { readlinkSync } from 'node:fs';
import { lstat, readdir, rm, statfs } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import { identify, isAlive, type ProcessIdentity } from '../store/process-identity.js';

export const ramDisk = '/dev/shm';
const tmpfsMagic = 0x01021994;
const prefix = 'tapline-batches-';

/** More lets nobody work faster: the destination is a few files behind. */
export const mostBytes = 256 * 2 ** 20;
/** Less is no room: files would be so small that a disk's cache does better. */
const leastBytes = 32 * 2 ** 20;

/** In bytes. */
export interface Memory {
  /** What the cgroup may use, or the machine has. */
  readonly limit: number;
  /** What nobody needs now, page cache that can go included. */
  readonly available: number;
}

/**
 * How many bytes of batches have room on a RAM disk with `free` bytes; 0 = none. Its pages count as the memory of the cgroup, cannot be
 * written back, and bring the OOM killer where it is exceeded: so an eighth of the limit, and a quarter of what is available now. Half of
 * what the disk has free: others use it, too. What the cgroup uses already is not asked: most of that is page cache, which gives way.
 */
export function roomFor(free: number, { limit, available }: Memory): number {
  const room = Math.floor(Math.min(mostBytes, limit / 8, available / 4, free / 2));
  return room < leastBytes ? 0 : room;
}

function memory(): Memory {
  // Absurdly large where there is no limit; 0 where none is known.
  const constrained = process.constrainedMemory?.() ?? 0;
  return { limit: constrained > 0 ? Math.min(constrained, totalmem()) : totalmem(), available: freemem() };
}

/** A name for a new folder on the RAM disk, and the bytes that have room there; undefined = take a disk. */
export async function placeOnRamDisk(id: string, disk = ramDisk): Promise<{ readonly folder: string; readonly maxBytes: number } | undefined> {
  if (process.platform !== 'linux') return undefined;
  try {
    const { type, bavail, bsize } = await statfs(disk);
    const maxBytes = type === tmpfsMagic ? roomFor(bavail * bsize, memory()) : 0;
    return maxBytes > 0 ? { folder: join(disk, folderName(id)), maxBytes } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Who made it stands in its name, so that it is there from the first instant. Not the boot, which a RAM disk does not outlive; but the
 * namespace of the number: containers may share the disk and not see each other's processes.
 */
export function folderName(id: string, { pid, start }: ProcessIdentity = identify(process.pid)): string {
  return `${prefix}${namespaceOf()}-${pid}-${start}-${id}`;
}

function namespaceOf(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';
  } catch {
    return '0';
  }
}

/** Removes the folders of runs that died, as far as they are of our user and their processes are ours to see. Never rejects. */
export async function sweepRamDisk(): Promise<void> {
  const own = identify(process.pid);
  for (const name of await readdir(ramDisk).catch(() => [])) {
    const [, namespace, pid, start] = pattern.exec(name) ?? [];
    if (pid === undefined || start === undefined || namespace !== namespaceOf()) continue;
    if (isAlive({ ...own, pid: Number(pid), start })) continue;
    const path = join(ramDisk, name);
    // Not a link that somebody else laid there.
    const entry = await lstat(path).catch(() => undefined);
    if (!entry?.isDirectory() || entry.uid !== process.getuid?.()) continue;
    await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
  }
}

const pattern = new RegExp(`^${prefix}(\\d+)-(\\d+)-(\\d+)-`);
