/** Which files of a stream its readers see now, of one sync. */
import { setTimeout as sleep } from 'node:timers/promises';
import { configError, type StreamDescriptor } from '@tapline/protocol';
import { parseHead, type Head } from '../commit/head.js';
import { entriesOf, loadHead } from '../commit/long-list.js';
import { parseFileName, streamFolder, sync8, syncFolder } from '../commit/names.js';
import type { ObjectStore } from '../commit/object-store.js';

/** A writer that is alive publishes what it committed within this time. */
const settleMs = 5_000;
const pauseMs = 200;

export async function readHead(store: ObjectStore, sync: string): Promise<Head> {
  const stored = await store.readHead(syncFolder(sync));
  if (stored) return loadHead(store, parseHead(stored.text, store.location));
  throw configError(`there is nothing of the sync '${sync}' at ${store.location}: run it first, or name the sync that wrote there (--sync)`, { code: 'no_such_sync' });
}

export interface VisibleFiles {
  /** Of the newest generation that readers see: an older one is history, or about to leave. */
  readonly names: readonly string[];
  /** Committed files that do not show yet, although we waited. */
  readonly unpublished: number;
}

export async function visibleFiles(store: ObjectStore, sync: string, stream: StreamDescriptor): Promise<VisibleFiles> {
  const folder = streamFolder(stream);
  const own = sync8(sync);
  const deadline = performance.now() + settleMs;
  for (;;) {
    // The head first: a file that it publishes may show between the two, but none that shows is unknown to it.
    const head = await readHead(store, sync);
    const files: { name: string; generation: number }[] = [];
    for await (const name of store.list(folder)) {
      const parsed = parseFileName(name, folder);
      if (parsed?.sync8 === own) files.push({ name, generation: parsed.generation });
    }
    const seen = new Set(files.map(({ name }) => name));
    const leaving = entriesOf(head.delete).filter((name) => seen.has(name));
    const coming = entriesOf(head.publish).filter(({ to }) => parseFileName(to, folder) !== undefined && !seen.has(to));
    if ((coming.length === 0 && leaving.length === 0) || performance.now() > deadline) {
      const newest = Math.max(...files.map(({ generation }) => generation));
      return { names: files.filter(({ generation }) => generation === newest).map(({ name }) => name).sort(), unpublished: coming.length };
    }
    await sleep(pauseMs);
  }
}
