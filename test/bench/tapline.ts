import { join } from 'node:path';
import { workspaceRoot } from '../services/index.js';

/** The command line of a sync, as argv of Node. */
export function syncArgs(options: { source: string; dest: string; stateDir: string; more?: readonly string[] }): string[] {
  const { source, dest, stateDir, more = [] } = options;
  return [tapline, 'sync', '--source', source, '--dest', dest, '--state-dir', stateDir, '--json', ...more];
}

export const tapline: string = join(workspaceRoot, 'runner', 'bin', 'tapline.js');

/** A program of the benches as it was built: a test that runs from the sources starts it, too. */
export const benchProgram = (name: string): string => join(workspaceRoot, 'test', 'dist', 'bench', name);

export interface SyncNumbers {
  readonly records: number;
  readonly bytes: number;
}

/** What the summary, the last line of --json, says. */
export function summaryOf(stdout: string): SyncNumbers {
  const last = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '{}') as Partial<SyncNumbers> & { status?: string };
  if (last.status !== 'succeeded' || last.records === undefined || last.bytes === undefined) throw new Error(`the sync did not succeed: ${JSON.stringify(last)}`);
  return { records: last.records, bytes: last.bytes };
}
