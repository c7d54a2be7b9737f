/** A database whose tables and rows change at random: the source of change data capture that is held against a fresh copy. */
import type pg from 'pg';
import { onTestFinished } from 'vitest';
import type { Random } from '../chaos/random.js';
import { dropSlots } from '../harness/slots.js';
import { succeeded, workspace, type Workspace } from '../harness/workspace.js';
import type { PostgresVersion } from '../services/postgres-binaries.js';
import { availableTypes } from './available-types.js';
import { randomChanges } from './random-changes.js';
import { matrix, settings } from './types-matrix.js';

export interface ChangingSource {
  readonly at: Workspace;
  /** With the settings of the matrix. */
  readonly client: pg.Client;
  /** That change, and the matrix. */
  readonly tables: readonly string[];
  /** So many transactions. */
  work(count: number): Promise<void>;
  /** `work(count)`, and `more`, in a run that goes on meanwhile. Resolves when the run has ended, with what it wrote to stderr. */
  workDuring(args: readonly string[], count: number, more?: () => Promise<unknown>): Promise<string>;
  /** For a test that fails: how to try it again, and what was done to the tables. */
  explained(seed: string): string;
}

export interface ChangingOptions {
  /** Changes of a table that are no reason for a batch, where records travel in batches. Default: 200. */
  readonly few?: number;
  /** No column is of a type whose binary form the source does not know: where records travel in batches, it asks for the log in binary. */
  readonly binary?: boolean;
}

/** Arrays, ranges, addresses … are read from the log in text alone. */
const knownInBinary = /^(boolean|smallint|integer|bigint|real|double precision|numeric(\(.*\))?|text|varchar\(.*\)|char\(.*\)|name|bytea|date|timestamp|timestamptz|time|uuid|json|jsonb|mood|citext)$/;

export async function changingSource(version: PostgresVersion, random: Random, { few = 200, binary = false }: ChangingOptions = {}): Promise<ChangingSource> {
  const at = await workspace({ version, query: `?schemas=public&replication=cdc&batch_changes=${few}` });
  onTestFinished(() => dropSlots(at.database));
  const { cases: all, seed: whole } = matrix(version, await availableTypes(at.database));
  const types = binary ? all.filter(({ type }) => knownInBinary.test(type)) : all;
  const others = all.filter((one) => !types.includes(one)).map(({ column }) => `DROP "${column}"`);
  const seed = others.length > 0 ? `${whole}; ALTER TABLE matrix ${others.join(', ')};` : whole;
  const changes = randomChanges(types, random);
  // The types of the matrix, and its table beside ours: every value of the list, by the copy.
  await at.database.query(`${settings} ${seed} ${changes.seed}`);
  const client = await at.database.connect();
  onTestFinished(() => client.end().catch(() => {}));
  await client.query(settings);
  const work = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await changes.transaction(client);
  };
  return {
    at, client, work,
    tables: ['matrix', ...changes.tables],
    async workDuring(args, count, more) {
      const going = at.startSync([...args, '--continuous']);
      await going.connectors();
      await work(count);
      await more?.();
      going.kill('SIGTERM');
      return (await succeeded(going.done)).stderr;
    },
    explained: (given) => `DIFFERENTIAL_SEED=${given} repeats it. What was done:\n${changes.history.filter((one) => !/^(INSERT|UPDATE|DELETE)/.test(one)).join('\n')}`,
  };
}
