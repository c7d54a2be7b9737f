import type { Head } from './head.js';
import { entriesOf, lengthOf } from './long-list.js';
import type { HeadPlace } from './replace-head.js';

const kept = 1000;

/**
 * `commits/<seq>.json`: what each of the last 1,000 commits did, for people and tools. Nothing ever reads them back:
 * a missing one means nothing.
 */
export class CommitRecords {
  readonly #place: HeadPlace;
  #swept = false;

  constructor(place: HeadPlace) {
    this.#place = place;
  }

  async write(head: Head): Promise<void> {
    const { store } = this.#place;
    const files = entriesOf(head.publish);
    await store.putText(this.#name(head.seq), `${JSON.stringify({
      seq: head.seq, epoch: head.epoch, at: new Date().toISOString(), state_id: head.state_id,
      rows: files.reduce((sum, file) => sum + file.rows, 0), bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      published: files.slice(0, 1000).map(({ to, rows, bytes }) => ({ to, rows, bytes })), published_files: files.length,
      deleted_files: lengthOf(head.delete),
      deferred_files: Object.fromEntries(Object.entries(head.deferred).map(([key, list]) => [key, lengthOf(list)])),
    }, null, 1)}\n`);
    if (this.#swept) return head.seq > kept ? store.delete(this.#name(head.seq - kept)) : undefined;
    this.#swept = true;
    // What a crash left: once a run, not once a commit.
    if (head.seq <= kept) return;
    for await (const name of store.list(`${this.#place.folder}commits/`)) {
      if (seqOf(name) <= head.seq - kept) await store.delete(name);
    }
  }

  #name = (seq: number): string => `${this.#place.folder}commits/${seq}.json`;
}

const seqOf = (name: string): number => Number(/(\d+)\.json$/.exec(name)?.[1] ?? Number.POSITIVE_INFINITY);
