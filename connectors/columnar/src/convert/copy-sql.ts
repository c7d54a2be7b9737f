/** The one statement that turns a file of lines into Parquet. */
import type { ColumnPlan } from './column-plan.js';
import { extraColumn, unchangedColumn } from './column-plan.js';
import { heldName } from './held-name.js';
import { refusalsOf, type Refusals, type Refuse } from './refuse-sql.js';
import { mayFail, readType, sqlName, sqlString, valueSql, type Reader } from './value-sql.js';

export interface CopyRequest {
  readonly input: string;
  /** A file, or a folder where `partition` is given. */
  readonly output: string;
  readonly plan: ColumnPlan;
  readonly reader: Reader;
  /** A column `_tapline_extra` is written (and read, by the walked reader). */
  readonly extra: boolean;
  /** A column `_tapline_unchanged` is written, of what `meta.unchanged` names. */
  readonly unchanged: boolean;
  readonly refuse: Refuse | undefined;
  /** Longest line of the input, in bytes. */
  readonly longestLine: number;
  readonly rowsPerGroup: number;
  readonly compression: Compression;
  /** Files are read once, whole, and deleted. */
  readonly readOnce: boolean;
  readonly partition: Partition | undefined;
  readonly stamp: RowStamp;
  readonly large: readonly LargeCell[];
}

/** A value that lies in a file of its own: the JSON reader would hold it six times over. */
export interface LargeCell {
  /** From 1, within the input. */
  readonly row: number;
  readonly column: number;
  readonly path: string;
}

export type Compression = 'zstd' | 'snappy' | 'gzip' | 'none';

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

/** Named so that no column of the data can collide: partition columns do not land in the files. */
export const partitionKeys = { date: '__tapline_date', hour: '__tapline_hour' } as const;

/** Its result is one row with the `Count`; where `partition` is given one for each file, with `filename` and `count` (which costs a small file dearly). */
export function copySql(request: CopyRequest): string {
  const { output, partition, rowsPerGroup } = request;
  const by = partition ? `, RETURN_STATS, PARTITION_BY (${partition.hour ? `${partitionKeys.date}, ${partitionKeys.hour}` : partitionKeys.date})` : '';
  return `COPY (${selectSql(request)}) TO ${sqlString(output)} (FORMAT parquet, ${codingSql(request)}, ROW_GROUP_SIZE ${rowsPerGroup}${by})`;
}

/** What makes a file small, or quick to search, is work for writer and reader: in vain where it is read once. */
function codingSql({ compression, readOnce }: CopyRequest): string {
  if (readOnce) return 'COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 0, WRITE_BLOOM_FILTER false';
  return `COMPRESSION ${compression === 'none' ? 'uncompressed' : compression}`;
}

/** Three layers: members of the line (r), values (v), the row; between the last two what the destination refuses goes out. */
function selectSql(request: CopyRequest): string {
  const { plan, reader, extra, unchanged, stamp, partition } = request;
  const refusals = refusalsOf(plan, request.refuse);
  const { columns } = plan;
  const raw = columns.map((column, i) => `record.data.${sqlName(memberName(column.field, i, reader))} AS r${i}`);
  const values = columns.map((column, i) => `${valueSql(column.type, `r${i}`, reader)} AS v${i}`);
  const rows = columns.map((column, i) => `v${i} AS ${sqlName(column.name)}`);
  const computed = `printf('${hex(stamp.seq)}%016x', n)`;
  const own = `record.data.${sqlName(memberName('_tapline_order', columns.length, reader))}`;

  const first = [...raw, 'record.emitted_at AS e', 'record.meta.changes AS ch', `row_number() OVER () + ${stamp.firstRow - 1} AS n`];
  if (plan.ownOrder) first.push(`${own} AS own_order`);
  if (extra && reader === 'walked') first.push('record.extra AS x');
  if (unchanged) first.push('record.meta.unchanged AS un');
  const emitted = `coalesce(e, ${stamp.now})`;
  const second = [...values, 'r.*', `make_timestamptz(${emitted} * 1000) AS extracted`];
  second.push(`${plan.ownOrder ? `coalesce(own_order, ${computed})` : computed} AS o`);
  const third = [...rows];
  if (extra) third.push(`${reader === 'walked' ? unlessSql(refusals.extra, 'x') : 'NULL::VARCHAR'} AS ${extraColumn}`);
  third.push(
    `${sqlString(stamp.rawIdPrefix)} || o AS _airbyte_raw_id`, 'extracted AS _airbyte_extracted_at', `${metaSql(request, refusals)} AS _airbyte_meta`,
    `${stamp.generation}::BIGINT AS _airbyte_generation_id`, 'o AS _tapline_order',
  );
  if (unchanged) third.push(`${unchangedSql(plan)} AS ${unchangedColumn}`);
  if (partition) third.push(...partitionSql(request, partition));
  // A record without data is none: the walker counts and reports it.
  const where = columns.length > 0 || plan.ownOrder ? ' WHERE record.data IS NOT NULL' : '';
  const lines = largeSql(request, `SELECT ${first.join(', ')} FROM ${readSql(request)}${where}`);
  return `SELECT ${third.join(', ')} FROM (${refusedSql(refusals, `SELECT ${second.join(', ')} FROM (${lines}) r`)})`;
}

const unlessSql = (refused: string | undefined, value: string): string => (refused === undefined ? value : `CASE WHEN ${refused} THEN NULL ELSE ${value} END`);

/** In a layer of its own: an expression is not computed twice for it. */
function refusedSql({ columns }: Refusals, values: string): string {
  const replaced = columns.flatMap((refused, i) => (refused === undefined ? [] : [`${unlessSql(refused, `v${i}`)} AS v${i}`]));
  return replaced.length === 0 ? values : `SELECT * REPLACE (${replaced.join(', ')}) FROM (${values})`;
}

/** The walker has put names of columns for those of fields; lines that need no walker name them alike. */
function unchangedSql({ leftOut }: ColumnPlan): string {
  const named = leftOut.length === 0 ? 'un' : `list_filter(un, lambda field: field NOT IN (${leftOut.map(sqlString).join(', ')}))`;
  return `CASE WHEN len(${named}) > 0 THEN to_json(${named})::VARCHAR END`;
}

/** Puts the values that lie in files of their own where they belong. */
function largeSql({ large, plan, stamp }: CopyRequest, lines: string): string {
  const columns = [...new Set(large.map(({ column }) => column))];
  if (columns.length === 0) return lines;
  const replaced = columns.map((column) => {
    const name = column === plan.columns.length ? 'own_order' : `r${column}`;
    const cells = large.filter((cell) => cell.column === column);
    const cases = cells.map(({ row, path }) => `WHEN ${stamp.firstRow - 1 + row} THEN (SELECT content FROM read_text(${sqlString(path)}))`);
    return `CASE n ${cases.join(' ')} ELSE ${name} END AS ${name}`;
  });
  return `SELECT * REPLACE (${replaced.join(', ')}) FROM (${lines})`;
}

function readSql({ input, plan, reader, extra, unchanged, longestLine }: CopyRequest): string {
  const members = plan.columns.map((column, i) => `${sqlName(memberName(column.field, i, reader))} ${readType(column.type, reader)}`);
  if (plan.ownOrder) members.push(`${sqlName(memberName('_tapline_order', plan.columns.length, reader))} VARCHAR`);
  const record = ['emitted_at BIGINT', `meta STRUCT(changes STRUCT(field VARCHAR, "change" VARCHAR, reason VARCHAR)[]${unchanged ? ', unchanged VARCHAR[]' : ''})`];
  if (members.length > 0) record.push(`data STRUCT(${members.join(', ')})`);
  if (extra && reader === 'walked') record.push('extra VARCHAR');
  return `read_json(${sqlString(input)}, format = 'newline_delimited', records = true, auto_detect = false, maximum_object_size = ${longestLine + 1024}, `
    + `columns = {record: ${sqlString(`STRUCT(${record.join(', ')})`)}})`;
}

/** The walker names members by number: their own names may differ in case only, which no STRUCT allows. */
export const memberName = (field: string, index: number, reader: Reader): string => (reader === 'raw' ? field : `c${index}`);

/** Nearly every row has the same constant; the list of changes is built for the others alone. */
function metaSql({ plan, reader, extra, refuse, stamp }: CopyRequest, refusals: Refusals): string {
  const syncId = stamp.syncId === undefined ? '' : `"sync_id":${stamp.syncId},`;
  const lost = plan.columns.flatMap((column, i) =>
    (mayFail(column.type, reader) || refusals.columns[i] !== undefined ? [{ field: column.field, test: `r${i} IS NOT NULL AND v${i} IS NULL` }] : []));
  if (extra && reader === 'walked' && refusals.extra !== undefined) lost.push({ field: extraColumn, test: refusals.extra });
  // Text put together: lists of structs would cost the planner a millisecond, which is what a small file costs as a whole.
  const named = (field: string): string => (refuse ? heldName(field) : field);
  const entry = (field: string): string => sqlString(JSON.stringify({ field: named(field), change: 'NULLED', reason: 'DESTINATION_TYPECAST_ERROR' }));
  const entries = lost.map(({ field, test }) => `CASE WHEN ${test} THEN ${entry(field)} END`);
  const told = 'to_json(ch)::VARCHAR';
  const refused = refusals.changes(told);
  const own = refused === undefined ? '' : `WHEN len(ch) > 0 AND (${refused}) THEN ${entry('_airbyte_meta')} `;
  const made = `concat_ws(',', ${[`CASE ${own}WHEN len(ch) > 0 THEN (${told})[2:-2] END`, ...entries].join(', ')})`;
  const any = ['len(ch) > 0', ...lost.map(({ test }) => `(${test})`)].join(' OR ');
  return `CASE WHEN ${any} THEN ${sqlString(`{${syncId}"changes":[`)} || ${made} || ']}' ELSE ${sqlString(`{${syncId}"changes":[]}`)} END`;
}

function partitionSql({ plan }: CopyRequest, partition: Partition): string[] {
  const index = plan.columns.findIndex((column) => column.name === partition.column);
  const value = index === -1 ? 'extracted' : `v${index}`;
  const part = (format: string, name: string): string => `coalesce(strftime(${value}, '${format}'), '${hiveNull}') AS ${name}`;
  return partition.hour ? [part('%Y-%m-%d', partitionKeys.date), part('%H', partitionKeys.hour)] : [part('%Y-%m-%d', partitionKeys.date)];
}

/** The folder of rows whose partition column is null, as Hive named it. */
export const hiveNull = '__HIVE_DEFAULT_PARTITION__';

export const hex = (n: number): string => n.toString(16).padStart(16, '0');
