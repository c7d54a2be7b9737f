import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { workspaceRoot } from '../services/index.js';
import type { Contestant } from './comparison.js';
import { measure, type MeasureOptions } from './measure.js';

/** The command line of a sync, as argv of Node. */
export function syncArgs(options: { source: string; dest: string; stateDir: string; more?: readonly string[] }): string[] {
  const { source, dest, stateDir, more = [] } = options;
  return [tapline, 'sync', '--source', source, '--dest', dest, '--state-dir', stateDir, '--json', ...more];
}

export const tapline: string = join(workspaceRoot, 'runner', 'bin', 'tapline.js');
export const connector = (name: string): string => join(workspaceRoot, 'connectors', name, 'bin', `${name}.js`);

/** A program of the benches as it was built: a test that runs from the sources starts it, too. */
export const benchProgram = (name: string): string => join(workspaceRoot, 'test', 'dist', 'bench', name);

/** How records are to travel: all ways unless the caller names one. */
export const transportsOf = (asked?: string): string[] => asked?.split(',') ?? ['json', 'batch'];

export interface FreshSync {
  readonly source: string;
  /** Of one run; what lies there is the caller's to remove. */
  readonly dest: string | (() => string);
  readonly stateDir: string;
  readonly transport: string;
  readonly empty?: () => Promise<unknown>;
  readonly measured?: MeasureOptions;
}

/** A sync that finds nothing, neither state nor rows. */
export function freshSync({ source, dest, stateDir, transport, empty, measured = {} }: FreshSync): Contestant {
  return {
    async prepare() {
      await rm(stateDir, { recursive: true, force: true });
      await empty?.();
    },
    run: () => measure(process.execPath, syncArgs({ source, dest: typeof dest === 'string' ? dest : dest(), stateDir, more: ['--transport', transport] }), measured),
  };
}

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
