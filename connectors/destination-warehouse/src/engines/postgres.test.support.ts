/** A warehouse of a test's own on a real server. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogicalType } from '@tapline/catalog';
import { toConnectorError } from '@tapline/protocol';
import type { TableName } from '../dialects/dialect.js';
import type { Warehouse } from '../warehouse.js';
import type { PostgresConfig } from './postgres-config.js';
import { openPostgres } from './postgres.js';

export const text: LogicalType = { kind: 'text' };
export const int64: LogicalType = { kind: 'int', bits: 64 };

export interface Access {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Of the database. */
  readonly name: string;
}

export interface TestWarehouse extends AsyncDisposable {
  readonly warehouse: Warehouse;
  readonly scratch: string;
  readonly logs: readonly string[];
  make(table: TableName, columns: Record<string, LogicalType>, key?: readonly string[]): Promise<void>;
  /** In a transaction of its own: what a query of the embedded engine gives. */
  load(table: TableName, columns: Record<string, LogicalType>, select: string): Promise<number>;
}

export const configFor = ({ host, port, user, password, name }: Access, extra: PostgresConfig = {}): PostgresConfig => ({ host, port, user, password, database: name, ...extra });

export async function openTestWarehouse(access: Access, { sync = 's', ...extra }: PostgresConfig & { readonly sync?: string } = {}): Promise<TestWarehouse> {
  const scratch = await mkdtemp(join(tmpdir(), 'warehouse-postgres-'));
  const logs: string[] = [];
  const warehouse = await openPostgres({ config: configFor(access, extra), sync, scratch, log: (_level, message) => void logs.push(message) }).catch(async (error: unknown) => {
    await rm(scratch, { recursive: true, force: true });
    throw error;
  });
  return {
    warehouse, scratch, logs,
    async make(table, columns, key = []) {
      const all = Object.entries(columns).map(([name, type]) => ({ name, type, nullable: !key.includes(name) }));
      for (const sql of warehouse.dialect.createTable(table, all, key)) await warehouse.run(sql);
    },
    load: (table, columns, select) =>
      warehouse.transaction(() => warehouse.load({ table, columns: Object.entries(columns).map(([name, type]) => ({ name, type })), select })),
    async [Symbol.asyncDispose]() {
      await warehouse[Symbol.asyncDispose]();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

/** What a step rejects with, as a user sees it. */
export const failure = async (step: Promise<unknown>): Promise<{ kind: string; code: string; message: string } | undefined> =>
  step.then(() => undefined, (error: unknown) => {
    const { kind, code, message } = toConnectorError(error);
    return { kind, code, message };
  });
