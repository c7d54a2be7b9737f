/**
 * Rows of batch files into a table by COPY's binary form. What the server refuses then is not told here: nothing of it was taken, and the way
 * through the engine, which looks at every value, tells which one it was.
 */
import { stat } from 'node:fs/promises';
import { ConnectorError, systemError } from '@tapline/protocol';
import { identifier, literal } from '@tapline/postgres-client';
import { postgresDialect } from '../dialects/postgres.js';
import type { PlainLoadColumn, PlainLoadRequest, PlainValue } from '../warehouse.js';
import { NotAsItIs } from './binary-copy/field.js';
import { binaryForm } from './binary-copy/forms.js';
import type { CopyMemory } from './binary-copy/memory.js';
import { binaryCopyOf, filesOf, largestFile, type BinaryFile, type BinaryRows } from './binary-copy/rows.js';
import type { PostgresSession } from './postgres-session.js';

const savepoint = 'plain_load';

export interface PlainLoader {
  readonly session: PostgresSession;
  readonly memory: CopyMemory;
}

/** In the transaction that is open. Undefined: nothing was loaded, and `load` has to do it. */
export async function loadPlain(loader: PlainLoader, { table, columns, parts, unseen }: PlainLoadRequest): Promise<number | undefined> {
  const { session } = loader;
  if (!columns.every(({ type, value }) => value.kind !== 'field' || binaryForm(type) !== undefined)) return undefined;
  const files = filesOf(parts);
  for (const { path } of files) if ((await stat(path)).size > largestFile) return undefined;
  const target = postgresDialect.table(table);
  // Before it is looked at: nobody changes a type after that.
  await session.run(`LOCK TABLE ${target} IN ROW EXCLUSIVE MODE`);
  if (!(await hasTypes(session, target, columns))) return undefined;
  await session.run(`SAVEPOINT ${savepoint}`);
  try {
    const taken = unseen ? await copyWithDefaults(loader, target, { columns, files }) : await copy(loader, target, { columns, files });
    await session.run(`RELEASE SAVEPOINT ${savepoint}`);
    return taken;
  } catch (error) {
    if (!(error instanceof NotAsItIs) && !isOfValue(error)) throw error;
    await session.run(`ROLLBACK TO SAVEPOINT ${savepoint}`);
    return undefined;
  }
}

async function copy({ session, memory }: PlainLoader, target: string, { columns, files }: BinaryRows): Promise<number> {
  const sql = `COPY ${target} (${columns.map(({ name }) => identifier(name)).join(', ')}) FROM STDIN (FORMAT binary)`;
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  const taken = await session.copyIn(sql, binaryCopyOf({ columns, files }, memory)).catch((error: unknown) => {
    throw error instanceof ConnectorError || error instanceof NotAsItIs || isOfValue(error) ? error : session.classify(error, sql);
  });
  if (taken !== rows) throw systemError(`${target} took ${taken} rows of ${rows}`, { code: 'pg_rows' });
  return taken;
}

/** What is the same in all rows of a file the server adds itself: else it takes a JSON text apart, and a time, for each. */
async function copyWithDefaults(loader: PlainLoader, target: string, { columns, files }: BinaryRows): Promise<number> {
  const isConstant = ({ value }: PlainLoadColumn): boolean => value.kind === 'meta' || value.kind === 'generation' || value.kind === 'extracted_at';
  const [constants, others] = [columns.filter(isConstant), columns.filter((column) => !isConstant(column))];
  const alter = (change: (column: PlainLoadColumn) => string): string => `ALTER TABLE ${target} ${constants.map((column) => `ALTER COLUMN ${identifier(column.name)} ${change(column)}`).join(', ')}`;
  if (constants.length === 0 || others.length === 0) return await copy(loader, target, { columns, files });
  let taken = 0;
  for (const file of files) {
    await loader.session.run(alter(({ value }) => `SET DEFAULT ${constantSql(value.kind, file)}`));
    taken += await copy(loader, target, { columns: others, files: [file] });
  }
  await loader.session.run(alter(() => 'DROP DEFAULT'));
  return taken;
}

function constantSql(kind: PlainValue['kind'], { part, emittedAt }: BinaryFile): string {
  if (kind === 'meta') return `${literal(part.meta).trim()}::jsonb`;
  return kind === 'generation' ? String(part.generation) : `${literal(new Date(emittedAt).toISOString()).trim()}::timestamptz`;
}

/** Bytes of another type would be taken for what they are not. */
async function hasTypes(session: PostgresSession, target: string, columns: readonly PlainLoadColumn[]): Promise<boolean> {
  const found = await session.run(
    `SELECT attname AS name, atttypid::int8 AS oid FROM pg_catalog.pg_attribute WHERE attrelid = ${literal(target).trim()}::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped`,
  );
  const oids = new Map(found.map(({ name, oid }) => [String(name), Number(oid)]));
  return columns.every(({ name, type, value }) => value.kind === 'null' || oids.get(name) === binaryForm(type)?.oid);
}

/** Of a value, and not of the session or the disk. 54: deeper than the server's stack takes. */
const isOfValue = (error: unknown): boolean => /^(22|54)/.test(String((error as { code?: unknown }).code));
