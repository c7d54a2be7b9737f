/**
 * `history/<id>.json`: hard links to the state files of the past, so that keeping one costs no second write. Bounded: the
 * newest 20, and the last one of each of the 20 runs before.
 */
import { link, mkdir, readFile, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';

const newest = 20;
const runs = 20;

export interface HistoryEntry {
  readonly id: number;
  readonly run: string;
  readonly savedAt: string;
}

export class History {
  readonly #folder: string;
  #entries: HistoryEntry[] | undefined;

  constructor(directory: string) {
    this.#folder = join(directory, 'history');
  }

  pathOf(id: number): string {
    return join(this.#folder, `${id}.json`);
  }

  /** Oldest first. */
  async list(): Promise<readonly HistoryEntry[]> {
    this.#entries ??= await this.#read();
    return this.#entries;
  }

  /** Keeps the state file that was just renamed into place. */
  async keep(stateFile: string, entry: HistoryEntry): Promise<void> {
    const entries = [...(await this.list())].filter(({ id }) => id !== entry.id);
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await unlink(this.pathOf(entry.id)).catch(() => undefined);
    await link(stateFile, this.pathOf(entry.id));
    entries.push(entry);
    const kept = prune(entries);
    for (const { id } of entries) if (!kept.some((other) => other.id === id)) await unlink(this.pathOf(id)).catch(() => undefined);
    this.#entries = kept;
  }

  async #read(): Promise<HistoryEntry[]> {
    const names = await readdir(this.#folder).catch(() => []);
    const entries: HistoryEntry[] = [];
    for (const name of names) {
      const id = /^(\d+)\.json$/.exec(name)?.[1];
      if (id === undefined) continue;
      try {
        const state = JSON.parse(await readFile(join(this.#folder, name), 'utf8')) as { run_id?: string; saved_at?: string };
        entries.push({ id: Number(id), run: state.run_id ?? '', savedAt: state.saved_at ?? '' });
      } catch {
        entries.push({ id: Number(id), run: '', savedAt: '' });
      }
    }
    return entries.sort((a, b) => a.id - b.id);
  }
}

function prune(entries: readonly HistoryEntry[]): HistoryEntry[] {
  const recent = entries.slice(-newest);
  const lastOfRun = new Map(entries.slice(0, -newest).map((entry) => [entry.run, entry]));
  return [...[...lastOfRun.values()].slice(-runs), ...recent];
}
