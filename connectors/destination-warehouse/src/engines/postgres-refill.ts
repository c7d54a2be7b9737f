/** All rows of one table in place of all rows of another, which stays: readers see its old rows until the transaction commits. */
import { identifier } from '@tapline/postgres-client';
import type { TableName } from '../dialects/dialect.js';
import { postgresDialect } from '../dialects/postgres.js';
import { createIndex, plainIndexesOf } from './postgres-belongings.js';
import { attributesOf, primaryKeyOf, relationOf, type RunSql } from './postgres-catalog.js';

const { table } = postgresDialect;

export async function refillTable(run: RunSql, from: TableName, into: TableName): Promise<void> {
  const [source, target] = [(await relationOf(run, from))!, (await relationOf(run, into))!];
  const [columns, before] = [await attributesOf(run, source.oid), new Map((await attributesOf(run, target.oid)).map((column) => [column.name, column]))];
  const [key, keyBefore] = [await primaryKeyOf(run, source.oid), await primaryKeyOf(run, target.oid)];
  const sameKey = key?.columns.join('\0') === keyBefore?.columns.join('\0');

  await run(`DELETE FROM ${table(into)}`);
  const changes: string[] = [];
  if (keyBefore && !sameKey) changes.push(`DROP CONSTRAINT ${identifier(keyBefore.name)}`);
  for (const { name, type } of columns) {
    const there = before.get(name);
    if (!there) changes.push(`ADD COLUMN ${identifier(name)} ${type}`);
    else if (there.type !== type) changes.push(`ALTER COLUMN ${identifier(name)} TYPE ${type} USING NULL`);
  }
  const required = new Set(sameKey ? key?.columns : []);
  for (const { name } of [...before.values()].filter((column) => column.required && !required.has(column.name))) {
    if (columns.every((column) => column.name !== name || !column.required)) changes.push(`ALTER COLUMN ${identifier(name)} DROP NOT NULL`);
  }
  // One after the other: a key has to go before its columns may be null.
  for (const change of changes) await run(`ALTER TABLE ${table(into)} ${change}`);
  const names = columns.map(({ name }) => identifier(name)).join(', ');
  await run(`INSERT INTO ${table(into)} (${names}) SELECT ${names} FROM ${table(from)}`);
  if (key && !sameKey) await run(`ALTER TABLE ${table(into)} ADD PRIMARY KEY (${key.columns.map(identifier).join(', ')})`);
  const forms = new Set((await plainIndexesOf(run, target.oid)).map(({ form }) => form));
  for (const { form, unique } of await plainIndexesOf(run, source.oid)) {
    if (!forms.has(form)) await run(createIndex({ form, unique }, into));
  }
  await run(`DROP TABLE ${table(from)}`);
}
