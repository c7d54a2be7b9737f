/** Saves what came back, one file at a time, and only then lets it be acknowledged. */
import { failpoint, mergeStates, summarizeState, systemError, transientError, type ConnectorError } from '@tapline/protocol';
import { withoutDone, withoutSaved, type Overrides } from '../store/overrides.js';
import type { StateStore } from '../store/state-store.js';
import type { StoredGeneration, StoredState } from '../store/stored-state.js';
import type { SentState } from './state-ledger.js';

export interface SaveOptions {
  readonly store: StateStore;
  /** What is on disk. */
  readonly start: StoredState;
  readonly overrides: Overrides | undefined;
  /** Called after the file is durable, in order. */
  readonly onSaved: (states: readonly SentState[], changed: boolean) => void;
  /** Saving failed: nothing is saved or acknowledged after it. */
  readonly onFailure: (error: ConnectorError) => void;
}

export class Saver {
  readonly #options: SaveOptions;
  #stored: StoredState;
  #overrides: Overrides | undefined;
  #queue: SentState[] = [];
  #saving: Promise<void> | undefined;
  #failed = false;

  constructor(options: SaveOptions) {
    this.#options = options;
    this.#stored = options.start;
    this.#overrides = options.overrides;
  }

  get stored(): StoredState {
    return this.#stored;
  }

  /** Takes states that the destination holds durably. What piles up during a save is saved together. */
  take(states: readonly SentState[]): void {
    if (this.#failed) return;
    this.#queue.push(...states);
    this.#saving ??= this.#saveAll().finally(() => (this.#saving = undefined));
  }

  /** Resolves when all that was taken is saved, or could not be. */
  async settled(): Promise<void> {
    while (this.#saving) await this.#saving;
  }

  /** The run's last save: generations that are complete now. */
  async complete(generations: Readonly<Record<string, StoredGeneration>>, allDone: boolean): Promise<void> {
    await this.settled();
    if (this.#failed) return;
    await this.#write({ ...this.#stored, generations: { ...this.#stored.generations, ...generations } });
    if (allDone && this.#overrides) await this.#options.store.writeOverrides((this.#overrides = withoutDone(this.#overrides)));
  }

  async #saveAll(): Promise<void> {
    // Not in the tick in which the first one came: a burst of answers becomes one file.
    await Promise.resolve();
    while (this.#queue.length > 0 && !this.#failed) {
      const states = this.#queue;
      this.#queue = [];
      try {
        await this.#save(states);
      } catch (error) {
        this.#failed = true;
        this.#options.onFailure(notSaved(error, this.#options.store.path));
      }
    }
  }

  async #save(states: readonly SentState[]): Promise<void> {
    let merged = this.#stored.states;
    let id = this.#stored.state_id;
    let { generations } = this.#stored;
    for (const state of states) {
      // What is there of another kind is of a run before, in another mode; within a run kinds cannot differ.
      if (state.body !== undefined) merged = mergeStates(merged.filter((other) => summarizeState(other).kind === state.kind), state.body);
      if (state.generations.size > 0) generations = { ...generations, ...Object.fromEntries(state.generations) };
      id = Math.max(id, state.id);
    }
    const before = new Set(this.#stored.states);
    const changed = merged.some((state) => !before.has(state));
    failpoint('runner.before_save');
    await this.#write({ ...this.#stored, states: [...merged], state_id: id, generations });
    if (this.#overrides) await this.#consume(states);
    failpoint('runner.after_save');
    this.#options.onSaved(states, changed);
  }

  async #write(next: StoredState): Promise<void> {
    const stored = { ...next, saved_at: new Date().toISOString() };
    await this.#options.store.save(stored);
    this.#stored = stored;
  }

  /** An override has done its work for a stream once a newer state of it is saved. */
  async #consume(states: readonly SentState[]): Promise<void> {
    const left = withoutSaved(this.#overrides!, states.flatMap(({ body }) => (body === undefined ? [] : [body])));
    if (left === this.#overrides) return;
    await this.#options.store.writeOverrides(left);
    this.#overrides = left;
  }
}

function notSaved(cause: unknown, path: string): ConnectorError {
  if (cause instanceof Error && cause.name === 'ConnectorError') return cause as ConnectorError;
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  const text = `the state cannot be saved to ${path} (${code}); the records since the last saved state will be read again`;
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? transientError(`${text}: make room on that disk`, { code: 'state_not_saved', cause })
    : systemError(text, { code: 'state_not_saved', cause });
}
