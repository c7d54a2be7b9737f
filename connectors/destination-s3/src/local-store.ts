import { opendir, link, readdir, rename, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { HeadOutcome, NewHead, ObjectStore, StoredHead } from '@tapline/columnar';
import { configError, systemError } from '@tapline/protocol';
import { linkOrCopy, makeFolder, syncFolder, syncPath, writeTemporary } from './durable-files.js';
import { codeOf, localError } from './local-errors.js';
import { readIfThere, readLocalHead, replaceLocalHead } from './local-head.js';

export interface LocalStoreOptions {
  readonly path: string;
  readonly fencing: 'conditional' | 'none';
}

/** An {@link ObjectStore} in a folder of one disk. */
export class LocalStore implements ObjectStore {
  readonly location: string;
  readonly #fencing: LocalStoreOptions['fencing'];
  /** Folders known to exist, so that not every file asks. Somebody may remove one: then it is made again. */
  readonly #folders = new Set<string>();

  constructor({ path, fencing }: LocalStoreOptions) {
    this.location = resolve(path);
    this.#fencing = fencing;
  }

  readHead(folder: string): Promise<StoredHead | undefined> {
    return this.#try('read', `${folder}head`, readLocalHead);
  }

  replaceHead(folder: string, next: NewHead, version: string | undefined): Promise<HeadOutcome> {
    return this.#try('write to', `${folder}head`, (path) => replaceLocalHead(path, next, version, this.#fencing === 'conditional'));
  }

  async probeFencing(): Promise<void> {
    const folder = this.pathOf('_tapline');
    let first: string | undefined;
    let second: string | undefined;
    try {
      await makeFolder(folder);
      first = await writeTemporary(folder, 'probe');
      second = `${first}.link`;
      await syncPath(folder);
      if (this.#fencing === 'none') return;
      await link(first, second);
      const refused = await link(first, second).then(() => false, (error: unknown) => codeOf(error) === 'EEXIST');
      if (!refused) throw noFencing(this.location, 'a name that exists was linked again');
    } catch (error) {
      if (first !== undefined && ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error) ?? '')) throw noFencing(this.location, error);
      throw localError(error, 'write to', this.location);
    } finally {
      for (const path of [first, second]) if (path !== undefined) await unlink(path).catch(() => {});
    }
  }

  putFile(name: string, path: string, bytes: number): Promise<void> {
    return this.#inFolder(name, async (target) => {
      const { size } = await stat(path);
      if (size !== bytes) throw systemError(`the file ${path} has ${size} bytes, not ${bytes}`);
      await linkOrCopy(path, target);
      await syncFolder(dirname(target));
    });
  }

  putText(name: string, text: string): Promise<void> {
    return this.#inFolder(name, async (target) => {
      const temporary = await writeTemporary(dirname(target), text);
      await rename(temporary, target);
      await syncFolder(dirname(target));
    });
  }

  getText(name: string): Promise<string | undefined> {
    return this.#try('read', name, readIfThere);
  }

  /** One rename: the object never has two names, so a writer that wakes up late finds nothing to move. */
  async move(from: string, to: string): Promise<{ readonly done: Promise<void> } | 'absent'> {
    if (!(await this.exists(from))) return 'absent';
    const source = this.pathOf(from);
    return this.#inFolder(to, async (target) => {
      try {
        await rename(source, target);
      } catch (error) {
        if (codeOf(error) === 'ENOENT' && !(await this.exists(from))) return 'absent';
        throw error;
      }
      await syncFolder(dirname(target));
      return { done: Promise.resolve() };
    });
  }

  exists(name: string): Promise<boolean> {
    return this.#try('read', name, (path) => stat(path).then(() => true, (error: unknown) => {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }));
  }

  async delete(name: string): Promise<void> {
    await this.#try('delete', name, async (path) => {
      await unlink(path).catch((error: unknown) => {
        if (codeOf(error) !== 'ENOENT') throw error;
      });
      // A hive folder that held only this.
      if (dirname(name).includes('=')) await this.#removeIfEmpty(dirname(path));
    });
  }

  async *list(prefix: string): AsyncGenerator<string> {
    const folder = this.pathOf(prefix);
    try {
      for await (const entry of await opendir(folder)) {
        if (entry.isDirectory()) yield* this.list(`${prefix}${entry.name}/`);
        else yield `${prefix}${entry.name}`;
      }
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw localError(error, 'read', folder);
    }
  }

  listFolders(prefix: string): Promise<string[]> {
    return this.#try('read', prefix, async (path) => {
      const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
        if (codeOf(error) === 'ENOENT') return [];
        throw error;
      });
      return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    });
  }

  /** There are no uploads here; what older writers leave are empty folders. */
  async abortUploads(prefix: string, mayGo: (name: string) => boolean): Promise<void> {
    for (const folder of await this.listFolders(prefix)) {
      if (mayGo(`${prefix}${folder}/`)) await this.#removeIfEmpty(this.pathOf(`${prefix}${folder}`));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** The absolute path of an object. */
  pathOf(name: string): string {
    if (name.split('/').includes('..')) throw systemError(`'${name}' is not the name of an object`);
    return join(this.location, ...name.split('/'));
  }

  async #removeIfEmpty(path: string): Promise<void> {
    this.#folders.delete(path);
    await rmdir(path).catch(() => {});
  }

  /** Runs `work` with the object's path once its folder exists; once more if the folder was removed meanwhile. */
  async #inFolder<T>(name: string, work: (path: string) => Promise<T>): Promise<T> {
    return this.#try('write to', name, async (path) => {
      const folder = dirname(path);
      const known = this.#folders.has(folder);
      if (!known) await makeFolder(folder);
      this.#folders.add(folder);
      try {
        return await work(path);
      } catch (error) {
        if (!known || codeOf(error) !== 'ENOENT') throw error;
        await makeFolder(folder);
        return work(path);
      }
    });
  }

  async #try<T>(doing: string, name: string, work: (path: string) => Promise<T>): Promise<T> {
    const path = this.pathOf(name);
    try {
      return await work(path);
    } catch (error) {
      throw localError(error, doing, path);
    }
  }
}

const noFencing = (location: string, cause: unknown) => configError(
  `the disk of ${location} has no hard links, by which two writers are kept apart. Choose another disk; or set fencing: none, and never run one sync twice at a time`,
  { code: 'no_fencing', cause },
);
