/** Staged files as rows of a table: one SELECT, in the embedded engine's SQL, with the table's columns by their names. */
import { duckdbType, formatLogicalType } from '@tapline/catalog';
import { sqlName, sqlString, unchangedColumn, valueSql } from '@tapline/columnar';
import type { ColumnType } from '../dialects/dialect.js';
import type { ColumnSource } from '../tables/shape.js';
import { nulledEntry, withChanges } from './changes.js';
import { deletedAt, type Layout } from './layout.js';
import { wholeRow } from './marks.js';
import type { LoadFile } from './requests.js';

const meta = '_airbyte_meta';

/** Without the columns of a history. `_tapline_unchanged`, a JSON list of columns of the table, comes last if `marked`. */
export function stagedRows(layout: Layout, files: readonly LoadFile[], marked: boolean): string {
  const groups = new Map<string, LoadFile[]>();
  for (const file of files) {
    const form = JSON.stringify([file.unchanged, file.sources.map(({ column, from, lossy, type }) => [column.name, from, lossy, type && formatLogicalType(type)])]);
    groups.set(form, [...(groups.get(form) ?? []), file]);
  }
  return [...groups.values()].map((group) => rowsOf(layout, group, marked)).join(' UNION ALL ');
}

function rowsOf(layout: Layout, files: readonly LoadFile[], marked: boolean): string {
  const { sources, unchanged } = files[0]!;
  const byName = new Map(sources.map((source) => [source.column.name, source]));
  const lost: string[] = [];
  const columns = layout.columns.map((column) => {
    const source = byName.get(column.name);
    const value = source?.from === undefined ? `NULL::${duckdbType(column.type)}` : castSql(source, source.from, column.type);
    if (source?.lossy && source.from !== undefined) {
      lost.push(`CASE WHEN f.${sqlName(source.from)} IS NOT NULL AND ${value} IS NULL THEN ${sqlString(nulledEntry(column.field ?? column.name, 'DESTINATION_TYPECAST_ERROR'))} END`);
    }
    return { name: column.name, value };
  });
  const list = columns.map(({ name, value }) => `${name === meta ? withChanges(layout.forms, value, lost) : value} AS ${sqlName(name)}`);
  if (marked) {
    const marks = unchanged ? marksSql(layout, sources) : 'NULL::VARCHAR';
    const { write, deletes } = layout.shape;
    const gone = byName.get(deletedAt)?.from;
    const kept = write === 'merge' && deletes === 'soft' && gone !== undefined;
    list.push(`${kept ? `CASE WHEN f.${sqlName(gone)} IS NOT NULL THEN '${wholeRow}' ELSE ${marks} END` : marks} AS ${sqlName(unchangedColumn)}`);
  }
  return relations(files).map((relation) => `SELECT ${list.join(', ')} FROM ${relation} f`).join(' UNION ALL ');
}

/** Files of one form are one relation. */
function relations(files: readonly LoadFile[]): string[] {
  const paths = files.flatMap(({ rows }) => ('path' in rows ? [sqlString(rows.path)] : []));
  return [...(paths.length > 0 ? [`read_parquet([${paths.join(', ')}])`] : []), ...files.flatMap(({ rows }) => ('select' in rows ? [`(${rows.select})`] : []))];
}

function castSql({ type, lossy }: ColumnSource, from: string, to: ColumnType): string {
  const value = `f.${sqlName(from)}`;
  const target = duckdbType(to);
  if (!lossy || type === undefined) return `CAST(${value} AS ${target})`;
  if (to.kind === 'json') return `to_json(${value})::VARCHAR`;
  if (to.kind === 'array') return `CASE WHEN json_valid(${value}::VARCHAR) AND json_type(${value}::VARCHAR) = 'ARRAY' THEN ${value}::VARCHAR END`;
  // The rule of the kit for a text that comes from anywhere: what a cast would round or wrap does not fit.
  return valueSql(to, type.kind === 'bytes' ? `to_base64(${value})` : `CAST(${value} AS VARCHAR)`, 'walked');
}

/**
 * The file's names as the table's. A column that was made for earlier values of the field keeps its own, too: where the type changed
 * the value that did not change stands there.
 */
function marksSql(layout: Layout, sources: readonly ColumnSource[]): string {
  const key = new Set(layout.shape.key);
  const cases = sources.flatMap(({ column, from }) => {
    if (from === undefined || column.field === undefined || key.has(column.name)) return [];
    const kept = layout.columns.filter((one) => one.name === column.name || (one.origin ?? one.field) === column.field);
    return [`WHEN ${sqlString(from)} THEN [${kept.map(({ name }) => sqlString(name)).join(', ')}]`];
  });
  if (cases.length === 0) return 'NULL::VARCHAR';
  const names = `from_json(f.${sqlName(unchangedColumn)}, '["VARCHAR"]')`;
  const list = `flatten(list_filter(list_transform(${names}, lambda x: CASE x ${cases.join(' ')} END), lambda l: l IS NOT NULL))`;
  return `CASE WHEN f.${sqlName(unchangedColumn)} IS NOT NULL THEN nullif(to_json(${list})::VARCHAR, '[]') END`;
}
