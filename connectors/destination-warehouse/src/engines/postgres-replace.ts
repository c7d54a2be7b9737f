import type { TableName } from '../dialects/dialect.js';
import type { LogLevel } from '@tapline/protocol';
import type { Row, Scalar } from '../warehouse.js';
import { postgresDialect } from '../dialects/postgres.js';
import { identifier } from '@tapline/postgres-client';

export interface Within {
  run(sql: string, parameters?: readonly Scalar[]): Promise<Row[]>;
  readonly log: (level: LogLevel, message: string) => void;
}

export async function replaceTable({ run }: Within, from: TableName, into: TableName): Promise<void> {
  const { table } = postgresDialect;
  await run(`DROP TABLE IF EXISTS ${table(into)}`);
  if (from.schema !== into.schema) await run(`ALTER TABLE ${table(from)} SET SCHEMA ${identifier(into.schema)}`);
  await run(`ALTER TABLE ${table({ schema: into.schema, table: from.table })} RENAME TO ${identifier(into.table)}`);
}
