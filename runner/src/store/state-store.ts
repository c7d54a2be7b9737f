import { configError, mergeStates, streamKey, summarizeState, type StreamDescriptor } from '@tapline/protocol';
import { mkdir, readFile, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { writeDurably } from './durable-file.js';
import { History, type HistoryEntry } from './history.js';
import { acquireLock } from './lock.js';
import { type Overrides, parseOverrides } from './overrides.js';
import { parseStoredState, type StoredState } from './stored-state.js';

/**
 * The state of one sync: `<state-dir>/<sync>/{state.json, history/<id>.json, overrides.json}`. Every `.json` is whole at any
 * instant. Not safe for two writers: the engine writes under the sync's lock, and so do {@link set} and {@link reset}.
 */
export class StateStore {
  /** `<state-dir>/<sync>`. */
  readonly directory: string;
  readonly sync: string;
  readonly #history: History;

  constructor(directory: string, sync: string = basename(directory)) {
    this.directory = directory;
    this.sync = sync;
    this.#history = new History(directory);
  }

  /** Names of the syncs that a state directory knows, sorted. */
  static async syncs(stateDirectory: string): Promise<string[]> {
    const names = await readdir(stateDirectory).catch(() => []);
    const found: string[] = [];
    for (const name of names) {
      for (const file of ['state.json', 'overrides.json']) {
        if (!found.includes(name) && (await exists(join(stateDirectory, name, file)))) found.push(name);
      }
    }
    return found.sort();
  }

  get path(): string {
    return join(this.directory, 'state.json');
  }

  get #overridesPath(): string {
    return join(this.directory, 'overrides.json');
  }

  /** undefined = nothing was ever saved. Throws a `config_error` for a file that is cut off or not ours. */
  async load(): Promise<StoredState | undefined> {
    const text = await readOrUndefined(this.path);
    return text === undefined ? undefined : parseStoredState(text, this.path, this.sync);
  }

  /** Durable once resolved. */
  async save(state: StoredState): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await writeDurably(this.path, `${JSON.stringify(state, undefined, 1)}\n`);
    await this.#history.keep(this.path, { id: state.state_id, run: state.run_id, savedAt: state.saved_at });
  }

  /** Puts a damaged file out of the way; returns its new path. */
  async setAside(): Promise<string> {
    const aside = join(this.directory, `state.damaged-${Date.now()}`);
    await rename(this.path, aside);
    return aside;
  }

  history(): Promise<readonly HistoryEntry[]> {
    return this.#history.list();
  }

  async fromHistory(id: number): Promise<StoredState> {
    const path = this.#history.pathOf(id);
    const text = await readOrUndefined(path);
    if (text === undefined) throw configError(`there is no state ${id} in the history of sync ${this.sync}`, { code: 'no_such_state' });
    return parseStoredState(text, path, this.sync);
  }

  async overrides(): Promise<Overrides | undefined> {
    const text = await readOrUndefined(this.#overridesPath);
    if (text === undefined) return undefined;
    const overrides = parseOverrides(text);
    if (overrides) return overrides;
    throw configError(`${this.#overridesPath} is damaged; delete it, and set or reset the state again`, { code: 'overrides_damaged' });
  }

  /** undefined removes them. */
  async writeOverrides(overrides: Overrides | undefined): Promise<void> {
    if (!overrides) return unlink(this.#overridesPath).catch(() => undefined);
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await writeDurably(this.#overridesPath, `${JSON.stringify(overrides, undefined, 1)}\n`);
  }

  /**
   * The next run starts from these states, and from nothing else. `states`: raw text of STATE bodies
   * (`{"type":"STREAM","stream":{…}}`); a stream that had a state and is not among them starts over.
   */
  async set(states: readonly string[]): Promise<void> {
    let merged: string[] = [];
    for (const state of states) {
      // Merging tells a wrong form and a mixture of kinds apart before anything is written.
      summarizeState(state);
      merged = mergeStates(merged, state);
    }
    await this.#override(() => ({ ...emptyOverrides(), replace: true, states: merged }));
  }

  /** The next run starts over: with the given streams, or with all. A damaged state.json is put aside. */
  async reset(streams?: readonly StreamDescriptor[]): Promise<void> {
    await this.#override(async () => {
      if (!streams) {
        await this.load().catch(() => this.setAside());
        return { ...emptyOverrides(), replace: true };
      }
      const before = (await this.overrides()) ?? emptyOverrides();
      const keys = streams.map(streamKey);
      const states = before.states.filter((state) => !keys.includes(summarizeState(state).key));
      return { ...before, states, reset: [...new Set([...before.reset, ...keys])] };
    });
  }

  async #override(make: () => Overrides | Promise<Overrides>): Promise<void> {
    const lock = await acquireLock(this.directory, this.sync);
    try {
      await this.writeOverrides(await make());
    } finally {
      await lock.release();
    }
  }
}

const emptyOverrides = (): Overrides => ({ v: 1, written_at: new Date().toISOString(), replace: false, states: [], reset: [], applied: {} });

async function readOrUndefined(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const exists = (path: string): Promise<boolean> => stat(path).then(() => true, () => false);
