/** A test's own working directory, database and lake, gone when the test is. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { TestDatabase } from '../services/postgres.js';
import type { PostgresVersion } from '../services/postgres-binaries.js';
import { testDatabase } from '../services/shared.js';
import { bucketLake, folderLake, type Lake } from './lake.js';
import { start, tapline, type Outcome, type RunOptions, type Running } from './tapline.js';

export interface Workspace {
  readonly directory: string;
  readonly database: TestDatabase;
  readonly lake: Lake;
  readonly stateDir: string;
  /** `sync --source <database> --dest <lake> --state-dir … --json` and what is given. */
  sync(args?: readonly string[], options?: RunOptions): Promise<Outcome>;
  startSync(args?: readonly string[], options?: RunOptions): Running;
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** state.json of the only sync in the state directory. */
  state(sync: string): Promise<Record<string, unknown>>;
}

export interface WorkspaceOptions {
  readonly lake?: Lake['kind'];
  readonly version?: PostgresVersion;
  /** SQL that fills the database. */
  readonly seed?: string;
  /** Behind the database's URI, such as `?schemas=a`. */
  readonly query?: string;
}

export async function workspace(options: WorkspaceOptions = {}): Promise<Workspace> {
  const at = await openWorkspace(options);
  onTestFinished(() => at[Symbol.asyncDispose]());
  return at;
}

/** For several tests, which look at it and change nothing. */
export async function openWorkspace(options: WorkspaceOptions = {}): Promise<Workspace & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'tapline-test-'));
  const database = await testDatabase(options.version);
  const lake = options.lake === 'S3' ? await bucketLake() : await folderLake();
  const dispose = async (): Promise<void> => {
    await database.drop();
    await lake.dispose();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    if (options.seed) await database.query(options.seed);
  } catch (error) {
    await dispose();
    throw error;
  }
  const stateDir = join(directory, 'state');
  const withDefaults = (given: RunOptions = {}): RunOptions => ({ cwd: directory, ...given, env: { ...lake.env, ...given.env } });
  const syncArgs = (args: readonly string[] = []) => {
    const defaults = { '--source': `${database.url}${options.query ?? ''}`, '--dest': lake.uri, '--state-dir': stateDir };
    const missing = Object.entries(defaults).filter(([flag]) => !args.includes(flag));
    return ['sync', ...missing.flat(), ...args, '--json'];
  };
  return {
    directory,
    database,
    lake,
    stateDir,
    sync: (args, given) => tapline(syncArgs(args), withDefaults(given)),
    startSync: (args, given) => start(syncArgs(args), withDefaults(given)),
    run: (args, given) => tapline(args, withDefaults(given)),
    state: async (sync) => JSON.parse(await readFile(join(stateDir, sync, 'state.json'), 'utf8')) as Record<string, unknown>,
    [Symbol.asyncDispose]: dispose,
  };
}

/** What to show when a run did not do what it should. */
export function explain(outcome: Outcome): string {
  // Of the progress lines the last one: they would push everything else out.
  const lines = outcome.stdout.split('\n');
  const last = lines.findLastIndex((line) => line.startsWith('{"type":"progress"'));
  const told = lines.filter((line, i) => i === last || !line.startsWith('{"type":"progress"')).join('\n');
  return `exit ${outcome.exitCode ?? outcome.signal}\n${outcome.stderr.slice(-4000)}\n${told.slice(-4000)}`;
}

/** The outcome of a run that has to end well. */
export async function succeeded(run: Promise<Outcome>): Promise<Outcome> {
  const outcome = await run;
  expect(outcome.exitCode, explain(outcome)).toBe(0);
  return outcome;
}
