/**
 * `runs/<run>.json`: who runs, and which processes it started. What a dead run left behind is found by it: by number and
 * start time, never by name.
 */
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writePrivately } from '../store/durable-file.js';
import { identify, isAlive, type ProcessIdentity } from '../store/process-identity.js';

const keep = 20;

export interface RunRecordContent {
  readonly v: 1;
  readonly run_id: string;
  readonly started_at: string;
  readonly runner: ProcessIdentity;
  readonly children: readonly (ProcessIdentity & { readonly role: string })[];
  readonly ended_at?: string;
  readonly status?: string;
  readonly exit_code?: number;
}

export class RunRecord {
  readonly #path: string;
  #content: RunRecordContent;

  constructor(folder: string, runId: string) {
    this.#path = join(folder, `${runId}.json`);
    this.#content = { v: 1, run_id: runId, started_at: new Date().toISOString(), runner: identify(process.pid), children: [] };
  }

  async start(): Promise<void> {
    await this.#write();
  }

  /** To be called right after a connector's process was started. */
  async child(role: string, identity: ProcessIdentity): Promise<void> {
    this.#content = { ...this.#content, children: [...this.#content.children, { ...identity, role }].slice(-keep) };
    await this.#write();
  }

  async end(status: string, exitCode: number): Promise<void> {
    this.#content = { ...this.#content, ended_at: new Date().toISOString(), status, exit_code: exitCode };
    await this.#write();
  }

  #write(): Promise<void> {
    return writePrivately(this.#path, `${JSON.stringify(this.#content)}\n`);
  }
}

/**
 * Ends what runs before left behind, removes their private files, and forgets all but the last records. Under the sync's
 * lock, so that no record of a living run is met. Returns how many processes were ended.
 */
export async function sweep(folder: string): Promise<number> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const names = (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
  let ended = 0;
  for (const entry of names) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() || entry.name.endsWith('.tmp')) continue;
    const record = await readRecord(path);
    if (!record || record.ended_at !== undefined) continue;
    for (const child of record.children) {
      if (!isAlive(child)) continue;
      await endGroup(child);
      ended++;
    }
    await writePrivately(path, `${JSON.stringify({ ...record, ended_at: new Date().toISOString(), status: 'died' })}\n`);
  }
  const records = names.filter((entry) => entry.isFile() && entry.name.endsWith('.json'));
  const stale = [...names.filter((entry) => entry.isDirectory() || entry.name.endsWith('.tmp')), ...records.slice(0, -keep)];
  for (const { name } of stale) await rm(join(folder, name), { recursive: true, force: true, maxRetries: 3 });
  // Half-written files of the sync itself.
  const sync = dirname(folder);
  for (const name of await readdir(sync)) if (name.endsWith('.tmp')) await rm(join(sync, name), { force: true });
  return ended;
}

/** Two seconds to go in good order, then the group is killed. Its runner is gone, so nobody would save what it still says. */
async function endGroup(leader: ProcessIdentity): Promise<void> {
  signalGroup(leader.pid, 'SIGTERM');
  for (let waited = 0; waited < 2_000 && isAlive(leader); waited += 50) await sleep(50);
  signalGroup(leader.pid, 'SIGKILL');
  for (let waited = 0; waited < 2_000 && isAlive(leader); waited += 20) await sleep(20);
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Gone by itself.
  }
}

async function readRecord(path: string): Promise<RunRecordContent | undefined> {
  try {
    const record = JSON.parse(await readFile(path, 'utf8')) as RunRecordContent;
    return Array.isArray(record.children) ? record : undefined;
  } catch {
    return undefined;
  }
}
