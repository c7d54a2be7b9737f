/**
 * One table takes the place of another. Nothing hangs on the old one: it goes, and the new one gets its name and its belongings. Else
 * the old one stays, and its rows are replaced: what hangs on it holds on to the table, not to its name.
 */
import { identifier } from '@tapline/postgres-client';
import { configError, type LogLevel } from '@tapline/protocol';
import type { TableName } from '../dialects/dialect.js';
import { postgresDialect } from '../dialects/postgres.js';
import { belongingsOf, createIndex, defaultGrants, plainIndexesOf, revokeAll, type Belongings } from './postgres-belongings.js';
import { attributesOf, dependentsOf, relationOf, type Relation, type RunSql } from './postgres-catalog.js';
import { nameIndexes } from './postgres-index-names.js';
import { refillTable } from './postgres-refill.js';

export interface ReplaceContext {
  readonly run: RunSql;
  readonly log: (level: LogLevel, message: string) => void;
  /** Tables of which it was said that they are filled in place. */
  readonly told: Set<string>;
}

const { table } = postgresDialect;

/** In the transaction that is open. */
export async function replaceTable(context: ReplaceContext, from: TableName, into: TableName): Promise<void> {
  const { run } = context;
  const old = await relationOf(run, into);
  if (!old) {
    await run(postgresDialect.createSchema(into.schema));
    await move(run, from, into);
    for (const statement of await defaultGrants(run, into)) await run(statement);
    await nameIndexes(run, into, from.table);
    return;
  }
  requireTable(old, into);
  const dependents = await dependentsOf(run, old.oid);
  if (dependents.length > 0) {
    tellOnce(context, into, dependents);
    await refillTable(run, from, into);
    return;
  }
  const fresh = (await relationOf(run, from))!;
  const columns = (await attributesOf(run, fresh.oid)).map(({ name }) => name);
  const belongings = await belongingsOf(run, { oid: old.oid, into, columns });
  await run(`DROP TABLE ${table(into)}`);
  await move(run, from, into);
  await handOver(context, into, belongings);
  await nameIndexes(run, into, from.table);
}

/** A name that is no table's. */
function requireTable({ kind }: Relation, into: TableName): void {
  if (kind === 'r') return;
  const what: Record<string, string> = { v: 'a view', m: 'a materialized view', f: 'a foreign table', p: 'a partitioned table', S: 'a sequence', i: 'an index', c: 'a type' };
  throw configError(
    `${table(into)} is ${what[kind] ?? 'no table'}, and the stream's table cannot take its place: rename it or drop it, or give the stream's table another name by table_name or schema_name`,
    { code: 'pg_not_a_table' },
  );
}

async function move(run: RunSql, from: TableName, into: TableName): Promise<void> {
  if (from.schema !== into.schema) await run(`ALTER TABLE ${table(from)} SET SCHEMA ${identifier(into.schema)}`);
  await run(`ALTER TABLE ${table({ schema: into.schema, table: from.table })} RENAME TO ${identifier(into.table)}`);
}

async function handOver(context: ReplaceContext, into: TableName, { owner, statements, indexes }: Belongings): Promise<void> {
  const { run } = context;
  await revokeAll(run, into);
  for (const statement of statements) await run(statement);
  const fresh = (await relationOf(run, into))!;
  const forms = new Set((await plainIndexesOf(run, fresh.oid)).map(({ form }) => form));
  for (const index of indexes.filter(({ form }) => !forms.has(form))) {
    if (!(await tried(run, createIndex(index, into)))) context.log('WARN', `the index ${identifier(index.name)} of ${table(into)} is gone: the new rows or columns of the table do not take it`);
  }
  // Last: whoever is not its owner any more may not change it. A role that may make nothing in the schema cannot get it.
  if (fresh.owner !== owner && !(await tried(run, `ALTER TABLE ${table(into)} OWNER TO ${identifier(owner)}`))) {
    context.log('WARN', `${table(into)} belongs to ${fresh.owner} from now on: ${owner} may make no table in its schema`);
  }
}

/** Without ending the transaction if it fails. */
async function tried(run: RunSql, statement: string): Promise<boolean> {
  await run('SAVEPOINT tried');
  try {
    await run(statement);
    await run('RELEASE SAVEPOINT tried');
    return true;
  } catch {
    // Where the connection is lost, this fails, too.
    await run('ROLLBACK TO SAVEPOINT tried');
    return false;
  }
}

function tellOnce({ log, told }: ReplaceContext, into: TableName, dependents: readonly string[]): void {
  if (told.has(table(into))) return;
  told.add(table(into));
  const some = dependents.slice(0, 5).join(', ') + (dependents.length > 5 ? ', …' : '');
  log('INFO', `${table(into)} stays, and its rows are deleted and inserted, which takes longer than a table that is swapped: it has ${some}`);
}
