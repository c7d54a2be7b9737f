/** Folded rows into a table of one row a key. */
import { sqlName, unchangedColumn } from '@tapline/columnar';
import type { TableName } from '../dialects/dialect.js';
import { runAll } from '../run-all.js';
import type { Warehouse } from '../warehouse.js';
import { ofDeletion } from './fold.js';
import type { Layout } from './layout.js';
import { isMarked, metaOfFilled, metaOfUnknown, wholeRow } from './marks.js';

export interface MergeRequest {
  readonly warehouse: Warehouse;
  /** In the warehouse's SQL. */
  readonly layout: Layout;
  /** A temporary table of the same columns, one row a key; what is in it changes. */
  readonly stage: TableName;
  readonly table: TableName;
  /** Columns that occur in marks of the stage, which has the marker where it needs it. */
  readonly marked: readonly string[];
  /** Columns of the key that are null in a row of the stage. */
  readonly nullable: ReadonlySet<string>;
}

/** Returns how many values are null because nobody told them. */
export async function merge({ warehouse, layout, stage, table, marked, nullable }: MergeRequest): Promise<number> {
  const { dialect } = warehouse;
  const [s, t] = [dialect.table(stage), dialect.table(table)];
  const sameKey = layout.sameKey('s', 't', nullable);
  // Whoever joins it with a large table should know how small it is.
  await runAll(warehouse, dialect.analyze(stage));
  if (marked.length > 0) await warehouse.run(fillSql(layout, { s, t, sameKey, marked }));
  if (layout.shape.deletes === 'soft') await warehouse.run(keepSql(layout, { s, t, sameKey }));
  const nulled = await tellUnknown({ warehouse, layout, table: stage, marked });
  await replaceOlder({ warehouse, layout, stage, table, sameKey, nullable });
  return nulled;
}

async function replaceOlder({ warehouse, layout, stage, table, sameKey, nullable }: Omit<MergeRequest, 'marked'> & { readonly sameKey: string }): Promise<void> {
  const { dialect } = warehouse;
  const [s, t] = [dialect.table(stage), dialect.table(table)];
  const { key, primaryKey } = layout.shape;
  const [gone, lasts] = layout.shape.deletes === 'hard' ? [layout.deleted('s'), ` WHERE NOT (${layout.deleted('s')})`] : [undefined, ''];
  const rows = `(${layout.list()}) SELECT ${layout.list('s')} FROM ${s} AS s`;
  const deleteOlder = `DELETE FROM ${t} AS t USING ${s} AS s WHERE ${sameKey} AND NOT (${layout.after('t', 's')})`;
  if (primaryKey && nullable.size === 0 && dialect.findKey && (await warehouse.run(dialect.findKey(table, key))).length > 0) {
    // The key looks up each row as it comes in; a join would read the whole of the large table.
    const set = layout.columns.filter(({ name }) => !key.includes(name)).map(({ name }) => `${sqlName(name)} = excluded.${sqlName(name)}`);
    await warehouse.run(`INSERT INTO ${t} AS t ${rows}${lasts} ON CONFLICT (${key.map(sqlName).join(', ')}) DO UPDATE SET ${set.join(', ')} WHERE NOT (${layout.after('t', 'excluded')})`);
    if (gone !== undefined) await warehouse.run(`${deleteOlder} AND ${gone}`);
    return;
  }
  // What is older goes, and what is still there then is newer. DuckDB rewrites a table's columns for an UPDATE or a MERGE, and not for this.
  await warehouse.run(deleteOlder);
  await warehouse.run(`INSERT INTO ${t} ${rows}${lasts === '' ? ' WHERE' : `${lasts} AND`} NOT EXISTS (SELECT 1 FROM ${t} AS t WHERE ${sameKey})`);
}

interface Joined {
  readonly s: string;
  readonly t: string;
  readonly sameKey: string;
}

/** What a row does not know is as it was. */
function fillSql(layout: Layout, { s, t, sameKey, marked }: Joined & { readonly marked: readonly string[] }): string {
  const set = marked.map((column) => `${sqlName(column)} = CASE WHEN ${isMarked('s', column)} THEN t.${sqlName(column)} ELSE s.${sqlName(column)} END`);
  const meta = metaOfFilled(layout, 's._airbyte_meta', marked.map((column) => ({ column, when: isMarked('s', column), theirMeta: 't._airbyte_meta' })));
  return `UPDATE ${s} AS s SET ${set.join(', ')}, _airbyte_meta = ${meta}, ${sqlName(unchangedColumn)} = NULL FROM ${t} AS t `
    + `WHERE s.${sqlName(unchangedColumn)} <> '${wholeRow}' AND ${sameKey}`;
}

/** A row that is deleted and stays has the values that it had. */
function keepSql(layout: Layout, { s, t, sameKey }: Joined): string {
  const kept = layout.columns.filter(({ name }) => !ofDeletion(layout, name));
  const set = kept.map(({ name }) => `${sqlName(name)} = t.${sqlName(name)}`);
  return `UPDATE ${s} AS s SET ${set.join(', ')} FROM ${t} AS t WHERE s.${sqlName(unchangedColumn)} = '${wholeRow}' AND ${sameKey}`;
}

export interface UnknownRequest {
  readonly warehouse: Warehouse;
  readonly layout: Layout;
  readonly table: TableName;
  readonly marked: readonly string[];
}

/** Marks that are left when nobody can tell the value any more: null, and an entry says so. Of a deleted row nobody asks. Returns how many values. */
export async function tellUnknown({ warehouse, layout, table, marked }: UnknownRequest): Promise<number> {
  if (marked.length === 0) return 0;
  const s = warehouse.dialect.table(table);
  const left = `s.${sqlName(unchangedColumn)} IS NOT NULL AND NOT (${layout.deleted('s')})`;
  const [row] = await warehouse.run(`SELECT ${unknownCount('s', marked)} AS n FROM ${s} AS s WHERE ${left}`);
  const nulled = Number(row!['n'] ?? 0);
  if (nulled > 0) await warehouse.run(`UPDATE ${s} AS s SET _airbyte_meta = ${metaOfUnknown(layout, 's', marked)} WHERE ${left}`);
  return nulled;
}

/** SQL: how many values are marked, over all rows. */
export const unknownCount = (alias: string, marked: readonly string[]): string =>
  `sum(${marked.map((column) => `CASE WHEN ${isMarked(alias, column)} THEN 1 ELSE 0 END`).join(' + ')})`;
