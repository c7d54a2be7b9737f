/** Files that go into the next commit, or wait for theirs in a folder of ours, by the names that the kit knows them by. */
import { moveFile, type ParquetFile, type Staged, type StagedBatches } from '@tapline/columnar';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoadFile } from '../load/requests.js';

interface Held {
  readonly paths: readonly string[];
  readonly rows: LoadFile['rows'];
}

export class StagedFiles implements AsyncDisposable {
  readonly #folder: string;
  readonly #held = new Map<string, Held>();
  #files = 0;
  #names = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
  }

  async take({ path, ...file }: ParquetFile): Promise<Staged> {
    const [own] = await this.#move([path]);
    return this.#hold(file, { paths: [own!], rows: { path: own! } });
  }

  /** They are read where they lie, once or oftener: to write them anew first would cost more than it saves. */
  async takeBatches({ paths, waits, select, plain, ...file }: StagedBatches): Promise<Staged> {
    const own = waits ? await this.#move(paths) : [...paths];
    return this.#hold(file, { paths: own, rows: { select: select(own), plain: plain && { rows: plain, paths: own } } });
  }

  rowsOf(name: string): LoadFile['rows'] {
    return this.#held.get(name)!.rows;
  }

  async remove(names: readonly string[]): Promise<void> {
    const paths = names.flatMap((name) => this.#held.get(name)?.paths ?? []);
    for (const name of names) this.#held.delete(name);
    await Promise.all(paths.map((path) => rm(path, { force: true })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  #hold(file: Omit<ParquetFile, 'path'>, held: Held): Staged {
    const name = String(++this.#names);
    this.#held.set(name, held);
    return { ...file, name };
  }

  async #move(paths: readonly string[]): Promise<string[]> {
    const moved: string[] = [];
    for (const path of paths) {
      const own = join(this.#folder, `${++this.#files}.parquet`);
      await moveFile(path, own);
      moved.push(own);
    }
    return moved;
  }
}
