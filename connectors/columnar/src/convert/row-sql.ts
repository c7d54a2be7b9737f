/** Rows as every file has them, in SQL, out of what a reader makes of its input. */
import { heldName } from './held-name.js';
import { extraColumn, unchangedColumn, type ColumnPlan } from './column-plan.js';
import { refusalsOf, type Refusals, type Refuse } from './refuse-sql.js';
import { sqlName, sqlString } from './value-sql.js';

/** What a reader makes of lines, or of batches. */
export interface RowReader {
  /**
   * A SELECT of `v0`, `v1` … (the values of the plan's columns, in their types, null where they cannot be held), `n` (the row's number),
   * `e` (milliseconds since 1970, or null), and whatever `came` names; `own_order` where the plan has it; `x` (JSON text of what nobody
   * declared) where `extra` is asked for; `un` (a list of names of columns) where `unchanged` is; `ch` where `changes`.
   */
  readonly select: string;
  /** A column each: a value may not land, besides that the destination refuses it. */
  readonly lossy: readonly boolean[];
  /** SQL: true where the source gave a value of the column. */
  came(column: number): string;
  /** There is `ch`, what the source says that it changed: STRUCT(field, change, reason)[]. */
  readonly changes: boolean;
}

/** Hive folders by the UTC day, or day and hour, of a date or timestamp column. */
export interface Partition {
  /** Name of the column in Parquet; `_airbyte_extracted_at` is allowed. */
  readonly column: string;
  readonly hour: boolean;
}

/** What the rows carry besides their data. */
export interface RowStamp {
  /** Unique over the stream's life together with the row's order. */
  readonly rawIdPrefix: string;
  readonly generation: number;
  readonly syncId: number | undefined;
  /** Commit position and first row number of the file: the two halves of `_tapline_order`. */
  readonly seq: number;
  readonly firstRow: number;
  /** Milliseconds; for a record without a usable `emitted_at`. */
  readonly now: number;
}

export interface RowRequest {
  readonly plan: ColumnPlan;
  /** A column `_tapline_extra` is written. */
  readonly extra: boolean;
  /** A column `_tapline_unchanged` is written, of what the records call unchanged. */
  readonly unchanged: boolean;
  readonly refuse: Refuse | undefined;
  readonly partition: Partition | undefined;
  readonly stamp: RowStamp;
}

/** Named so that no column of the data can collide: partition columns do not land in the files. */
export const partitionKeys = { date: '__tapline_date', hour: '__tapline_hour' } as const;

/** On top of the reader's values: what the destination refuses goes out, then the row. */
export function rowSql(request: RowRequest, reader: RowReader): string {
  const { plan, extra, unchanged, stamp, partition } = request;
  const refusals = refusalsOf(plan, request.refuse);
  const computed = `printf('${orderPrefix(stamp)}%016x', n)`;
  const stamped = `SELECT *, make_timestamptz(coalesce(e, ${stamp.now}) * 1000) AS extracted, ${plan.ownOrder ? `coalesce(own_order, ${computed})` : computed} AS o FROM (${reader.select})`;

  const row = plan.columns.map((column, i) => `v${i} AS ${sqlName(column.name)}`);
  if (extra) row.push(`${unlessSql(refusals.extra, 'x')} AS ${extraColumn}`);
  row.push(
    `${sqlString(stamp.rawIdPrefix)} || o AS _airbyte_raw_id`, 'extracted AS _airbyte_extracted_at', `${metaSql(request, reader, refusals)} AS _airbyte_meta`,
    `${stamp.generation}::BIGINT AS _airbyte_generation_id`, 'o AS _tapline_order',
  );
  if (unchanged) row.push(`${unchangedSql(plan)} AS ${unchangedColumn}`);
  if (partition) row.push(...partitionSql(request, partition));
  return `SELECT ${row.join(', ')} FROM (${refusedSql(refusals, stamped)})`;
}

const unlessSql = (refused: string | undefined, value: string): string => (refused === undefined ? value : `CASE WHEN ${refused} THEN NULL ELSE ${value} END`);

/** In a layer of its own: an expression is not computed twice for it. */
function refusedSql({ columns }: Refusals, values: string): string {
  const replaced = columns.flatMap((refused, i) => (refused === undefined ? [] : [`${unlessSql(refused, `v${i}`)} AS v${i}`]));
  return replaced.length === 0 ? values : `SELECT * REPLACE (${replaced.join(', ')}) FROM (${values})`;
}

function unchangedSql({ leftOut }: ColumnPlan): string {
  const named = leftOut.length === 0 ? 'un' : `list_filter(un, lambda field: field NOT IN (${leftOut.map(sqlString).join(', ')}))`;
  return `CASE WHEN len(${named}) > 0 THEN to_json(${named})::VARCHAR END`;
}

/** `_airbyte_meta` of a row of which nothing is to be told. */
export const plainMeta = (stamp: RowStamp): string => `{${syncIdOf(stamp)}"changes":[]}`;
const syncIdOf = ({ syncId }: RowStamp): string => (syncId === undefined ? '' : `"sync_id":${syncId},`);

/** Nearly every row has the same constant; the list of changes is built for the others alone. */
function metaSql({ plan, extra, refuse, stamp }: RowRequest, { lossy, came, changes }: RowReader, refusals: Refusals): string {
  const syncId = syncIdOf(stamp);
  const lost = plan.columns.flatMap((column, i) =>
    (lossy[i] || refusals.columns[i] !== undefined ? [{ field: column.field, test: `${came(i)} AND v${i} IS NULL` }] : []));
  if (extra && refusals.extra !== undefined) lost.push({ field: extraColumn, test: refusals.extra });
  const none = sqlString(plainMeta(stamp));
  if (lost.length === 0 && !changes) return none;
  // Text put together: lists of structs would cost the planner a millisecond, which is what a small file costs as a whole.
  const named = (field: string): string => (refuse ? heldName(field) : field);
  const entry = (field: string): string => sqlString(JSON.stringify({ field: named(field), change: 'NULLED', reason: 'DESTINATION_TYPECAST_ERROR' }));
  const entries = lost.map(({ field, test }) => `CASE WHEN ${test} THEN ${entry(field)} END`);
  const tests = lost.map(({ test }) => `(${test})`);
  if (changes) {
    const told = 'to_json(ch)::VARCHAR';
    const refused = refusals.changes(told);
    const own = refused === undefined ? '' : `WHEN len(ch) > 0 AND (${refused}) THEN ${entry('_airbyte_meta')} `;
    entries.unshift(`CASE ${own}WHEN len(ch) > 0 THEN (${told})[2:-2] END`);
    tests.unshift('len(ch) > 0');
  }
  return `CASE WHEN ${tests.join(' OR ')} THEN ${sqlString(`{${syncId}"changes":[`)} || concat_ws(',', ${entries.join(', ')}) || ']}' ELSE ${none} END`;
}

function partitionSql({ plan }: RowRequest, partition: Partition): string[] {
  const index = plan.columns.findIndex((column) => column.name === partition.column);
  const value = index === -1 ? 'extracted' : `v${index}`;
  const part = (format: string, name: string): string => `coalesce(strftime(${value}, '${format}'), '${hiveNull}') AS ${name}`;
  return partition.hour ? [part('%Y-%m-%d', partitionKeys.date), part('%H', partitionKeys.hour)] : [part('%Y-%m-%d', partitionKeys.date)];
}

/** The folder of rows whose partition column is null, as Hive named it. */
const hiveNull = '__HIVE_DEFAULT_PARTITION__';

/** Of `_tapline_order`; the row's number follows, in 16 digits. */
export const orderPrefix = ({ seq }: RowStamp): string => seq.toString(16).padStart(16, '0');
