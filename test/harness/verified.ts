/** What `verify` prints, taken apart. */
import { expect } from 'vitest';
import type { Outcome } from './tapline.js';
import { explain, type Workspace } from './workspace.js';

export interface VerifiedTable {
  readonly namespace?: string;
  readonly name: string;
  readonly equal: boolean;
  readonly source_rows: number;
  readonly destination_rows: number;
  readonly differing_keys: readonly unknown[];
  readonly differences: readonly { readonly kind: string; readonly columns?: readonly string[] }[];
  readonly notes?: readonly string[];
  readonly more?: boolean;
  readonly error?: { readonly kind: string; readonly message: string };
}

export interface Verified extends Outcome {
  readonly tables: readonly VerifiedTable[];
  /** Of change data capture. */
  readonly position?: string;
  readonly notes?: readonly string[];
}

export interface VerifyOptions {
  /** URI of the destination. */
  readonly dest: string;
  /** Behind the source's URI. */
  readonly query?: string;
  readonly args?: readonly string[];
}

/** Runs it, whatever it finds. */
export async function verified(at: Pick<Workspace, 'run' | 'database' | 'stateDir'>, { dest, query = '', args = [] }: VerifyOptions): Promise<Verified> {
  const outcome = await at.run(['verify', '--source', `${at.database.url}${query}`, '--dest', dest, '--state-dir', at.stateDir, ...args, '--json']);
  const told = outcome.messages.at(-1);
  expect(told, explain(outcome)).toMatchObject({ type: 'verify' });
  return { ...outcome, ...(told as unknown as Pick<Verified, 'tables' | 'position' | 'notes'>) };
}

/** The keys that differ, of a table whose key is `id`, in its order, each with how. */
export const differencesById = ({ differing_keys: keys, differences }: VerifiedTable): (readonly [id: number, difference: VerifiedTable['differences'][number]])[] =>
  keys.map((key, i) => [(key as { id: number }).id, differences[i]!] as const).sort(([a], [b]) => a - b);
