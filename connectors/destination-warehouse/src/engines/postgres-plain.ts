/**
 * Rows of batch files into a table by COPY's binary form. What the server refuses then is not told here: nothing of it was taken, and the way
 * through the engine, which looks at every value, tells which one it was.
 */
import { stat } from 'node:fs/promises';
import { ConnectorError, systemError } from '@tapline/protocol';
import { identifier, literal } from '@tapline/postgres-client';
import { postgresDialect } from '../dialects/postgres.js';
import type { PlainLoadColumn, PlainLoadRequest } from '../warehouse.js';
import { NotAsItIs } from './binary-copy/field.js';
import { binaryForm } from './binary-copy/forms.js';
import { binaryCopyOf, largestFile } from './binary-copy/rows.js';
import type { PostgresSession } from './postgres-session.js';

const savepoint = 'plain_load';

/** In the transaction that is open. Undefined: nothing was loaded, and `load` has to do it. */
export async function loadPlain(session: PostgresSession, request: PlainLoadRequest): Promise<number | undefined> {
  const { table, columns, parts, unseen } = request;
  if (!columns.every(({ type, value }) => value.kind !== 'field' || binaryForm(type) !== undefined)) return undefined;
  for (const path of parts.flatMap(({ paths }) => paths)) if ((await stat(path)).size > largestFile) return undefined;
  const target = postgresDialect.table(table);
  // Before it is looked at: nobody changes a type after that.
  await session.run(`LOCK TABLE ${target} IN ROW EXCLUSIVE MODE`);
  if (!(await hasTypes(session, target, columns))) return undefined;
  await session.run(`SAVEPOINT ${savepoint}`);
  const { defaults, others } = unseen ? withDefaults(request) : { defaults: [], others: columns };
  const alter = (change: (one: Default) => string): string => `ALTER TABLE ${target} ${defaults.map((one) => `ALTER COLUMN ${identifier(one.name)} ${change(one)}`).join(', ')}`;
  if (defaults.length > 0) await session.run(alter(({ value }) => `SET DEFAULT ${value}`));
  const sql = `COPY ${target} (${others.map(({ name }) => identifier(name)).join(', ')}) FROM STDIN (FORMAT binary)`;
  try {
    const rows = parts.flatMap((part) => part.rows.files).reduce((sum, file) => sum + file.rows, 0);
    const taken = await session.copyIn(sql, binaryCopyOf({ columns: others, parts }));
    if (taken !== rows) throw systemError(`${target} took ${taken} rows of ${rows}`, { code: 'pg_rows' });
    if (defaults.length > 0) await session.run(alter(() => 'DROP DEFAULT'));
    await session.run(`RELEASE SAVEPOINT ${savepoint}`);
    return taken;
  } catch (error) {
    if (error instanceof ConnectorError) throw error;
    if (!(error instanceof NotAsItIs) && !isOfValue(error)) throw session.classify(error, sql);
    await session.run(`ROLLBACK TO SAVEPOINT ${savepoint}`);
    return undefined;
  }
}

/** Bytes of another type would be taken for what they are not. */
async function hasTypes(session: PostgresSession, target: string, columns: readonly PlainLoadColumn[]): Promise<boolean> {
  const found = await session.run(
    `SELECT attname AS name, atttypid::int8 AS oid FROM pg_catalog.pg_attribute WHERE attrelid = ${literal(target).trim()}::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped`,
  );
  const oids = new Map(found.map(({ name, oid }) => [String(name), Number(oid)]));
  return columns.every(({ name, type, value }) => value.kind === 'null' || oids.get(name) === binaryForm(type)?.oid);
}

interface Default {
  readonly name: string;
  /** SQL. */
  readonly value: string;
}

/** What is the same in all rows the server adds itself: it would take a JSON text apart for each. */
function withDefaults({ columns, parts }: PlainLoadRequest): { readonly defaults: readonly Default[]; readonly others: readonly PlainLoadColumn[] } {
  const [first, ...more] = parts.map(({ rows }) => rows);
  const isSame = more.every(({ meta, generation }) => meta === first!.meta && generation === first!.generation);
  const defaults = columns.flatMap(({ name, value }): Default[] => {
    if (!isSame) return [];
    if (value.kind === 'meta') return [{ name, value: `${literal(first!.meta).trim()}::jsonb` }];
    return value.kind === 'generation' ? [{ name, value: String(first!.generation) }] : [];
  });
  return { defaults, others: columns.filter(({ name }) => defaults.every((one) => one.name !== name)) };
}

/** Of a value, and not of the session or the disk. 54: deeper than the server's stack takes. */
const isOfValue = (error: unknown): boolean => /^(22|54)/.test(String((error as { code?: unknown }).code));
