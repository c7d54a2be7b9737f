import { describe, expect, test } from 'vitest';
import { emptyHead, type Head } from './head.js';
import { listOf } from './long-list.js';
import type { ObjectStore } from './object-store.js';
import { publishHead } from './publish.js';

const files = ['a', 'b', 'c'].map((name) => ({ from: `staged/${name}`, to: `n/s/${name}.parquet`, bytes: 1, rows: 1 }));
const head: Head = { ...emptyHead, publish: listOf(files) };

/** A store whose old names leave when they are told to. */
function slow(): { store: ObjectStore; seen: string[]; leave: ((error?: Error) => void)[] } {
  const seen: string[] = [];
  const leave: ((error?: Error) => void)[] = [];
  const move: ObjectStore['move'] = async (_, to) => {
    seen.push(to);
    return { done: new Promise((resolve, reject) => leave.push((error) => (error ? reject(error) : resolve()))) };
  };
  return { store: { move } as ObjectStore, seen, leave };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const never = async (): Promise<void> => {
  throw new Error('none is absent');
};

describe('publishing the files of a stream', () => {
  test('does not wait for the old name of one to show the next, but is one ahead at most, and ends when all have left', async () => {
    const { store, seen, leave } = slow();
    let ended = false;
    const published = publishHead(store, head, never).then(() => (ended = true));
    await turn();
    expect(seen).toEqual(['n/s/a.parquet', 'n/s/b.parquet']);
    leave[0]!();
    await turn();
    expect(seen).toEqual(['n/s/a.parquet', 'n/s/b.parquet', 'n/s/c.parquet']);
    leave[1]!();
    await turn();
    expect(ended).toBe(false);
    leave[2]!();
    await published;
  });

  test('fails when an old name does not leave, and shows nothing further', async () => {
    const { store, seen, leave } = slow();
    const published = publishHead(store, head, never);
    await turn();
    leave[0]!(new Error('denied'));
    await expect(published).rejects.toThrow('denied');
    expect(seen).toEqual(['n/s/a.parquet', 'n/s/b.parquet']);
  });
});
