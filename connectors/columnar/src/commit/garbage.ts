import { inParallel } from './in-parallel.js';
import { entriesOf, listsFolder, storedNames } from './long-list.js';
import type { HeadPlace, HeldHead } from './replace-head.js';

export const stagedFolder = (folder: string): string => `${folder}staged/`;

/**
 * Removes what writers of older epochs left behind and no head will name again. Only below older epochs: a newer writer
 * may be at work already, and what is its own is not ours to judge.
 */
export async function removeGarbage({ store, folder }: HeadPlace, { head }: HeldHead): Promise<void> {
  const named = storedNames(head);
  for (const list of Object.values(head.deferred)) for (const { from } of entriesOf(list)) named.add(from);
  const isGarbage = (name: string, below: string): boolean => {
    const epoch = Number(name.slice(below.length).split('/')[0]);
    return epoch < head.epoch && !named.has(name);
  };
  const sweep = (below: string): Promise<void> =>
    inParallel(store.list(below), 8, async (name) => {
      if (isGarbage(name, below)) await store.delete(name);
    });
  const staged = stagedFolder(folder);
  await Promise.all([sweep(staged), sweep(listsFolder(folder)), store.abortUploads(staged, (name) => isGarbage(name, staged))]);
}
