import { failpoint } from '@tapline/protocol';
import type { Head, Move } from './head.js';
import { inParallel } from './in-parallel.js';
import { entriesOf } from './long-list.js';
import { folderOfFile } from './names.js';
import type { ObjectStore } from './object-store.js';

const parallel = 8;

/**
 * Makes visible what a head publishes, then removes what it deletes. Files of one stream appear in the order of the
 * list, one after the other: a reader that follows the names never sees a later one first. Repeating it is harmless.
 * `absent` is called for a file whose staged object is gone; it throws, or finds an explanation.
 */
export async function publishHead(store: ObjectStore, head: Head, absent: (move: Move) => Promise<void>): Promise<void> {
  const moves = entriesOf(head.publish);
  const gone = entriesOf(head.delete);
  let left = moves.length + gone.length;
  const passed = (): void => {
    if (--left > 0) failpoint('dest.mid_publish');
  };
  await inParallel(byStream(moves), parallel, async (stream) => {
    // A reader need not wait for the old name of one to see the next.
    let leaving = Promise.resolve();
    for (const move of stream) {
      const moved = await store.move(move.from, move.to);
      // A failure is told when it is waited for; or not at all, where another came first.
      if (moved !== 'absent') moved.done.catch(() => {});
      await leaving;
      if (moved === 'absent') await absent(move);
      else leaving = moved.done;
      passed();
    }
    await leaving;
  });
  await inParallel(gone, parallel, async (name) => {
    await store.delete(name);
    passed();
  });
}

function byStream(moves: readonly Move[]): Iterable<Move[]> {
  const streams = new Map<string, Move[]>();
  for (const move of moves) {
    const folder = folderOfFile(move.to);
    const stream = streams.get(folder);
    if (stream) stream.push(move);
    else streams.set(folder, [move]);
  }
  return streams.values();
}
