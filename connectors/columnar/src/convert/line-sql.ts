/** Files of lines as the engine reads them: raw, as the source wrote them, or as the walker did. */
import type { ColumnPlan } from './column-plan.js';
import type { RowReader } from './row-sql.js';
import { mayFail, readType, sqlName, sqlString, valueSql, type Reader } from './value-sql.js';

export interface LineRequest {
  readonly input: string;
  readonly plan: ColumnPlan;
  readonly reader: Reader;
  /** `_tapline_extra` is asked for: only the walker has it. */
  readonly extra: boolean;
  readonly unchanged: boolean;
  /** Longest line of the input, in bytes. */
  readonly longestLine: number;
  readonly large: readonly LargeCell[];
  /** Number of the first row. */
  readonly firstRow: number;
}

/** A value that lies in a file of its own: the JSON reader would hold it six times over. */
export interface LargeCell {
  /** From 1, within the input. */
  readonly row: number;
  readonly column: number;
  readonly path: string;
}

/** Two layers: members of the line (r), values (v). */
export function lineReader(request: LineRequest): RowReader {
  const { plan, reader, extra, unchanged, firstRow } = request;
  const { columns } = plan;
  const first = columns.map((column, i) => `record.data.${sqlName(memberName(column.field, i, reader))} AS r${i}`);
  first.push('record.emitted_at AS e', 'record.meta.changes AS ch', `row_number() OVER () + ${firstRow - 1} AS n`);
  if (plan.ownOrder) first.push(`record.data.${sqlName(memberName('_tapline_order', columns.length, reader))} AS own_order`);
  if (extra) first.push('record.extra AS x');
  if (unchanged) first.push('record.meta.unchanged AS un');
  // A record without data is none: the walker counts and reports it.
  const where = columns.length > 0 || plan.ownOrder ? ' WHERE record.data IS NOT NULL' : '';
  const lines = largeSql(request, `SELECT ${first.join(', ')} FROM ${readSql(request)}${where}`);
  const values = columns.map((column, i) => `${valueSql(column.type, `r${i}`, reader)} AS v${i}`);
  return {
    select: `SELECT ${[...values, 'r.*'].join(', ')} FROM (${lines}) r`,
    lossy: columns.map(({ type }) => mayFail(type, reader)),
    came: (i) => `r${i} IS NOT NULL`,
    changes: true,
  };
}

/** Puts the values that lie in files of their own where they belong. */
function largeSql({ large, plan, firstRow }: LineRequest, lines: string): string {
  const columns = [...new Set(large.map(({ column }) => column))];
  if (columns.length === 0) return lines;
  const replaced = columns.map((column) => {
    const name = column === plan.columns.length ? 'own_order' : `r${column}`;
    const cells = large.filter((cell) => cell.column === column);
    const cases = cells.map(({ row, path }) => `WHEN ${firstRow - 1 + row} THEN (SELECT content FROM read_text(${sqlString(path)}))`);
    return `CASE n ${cases.join(' ')} ELSE ${name} END AS ${name}`;
  });
  return `SELECT * REPLACE (${replaced.join(', ')}) FROM (${lines})`;
}

function readSql({ input, plan, reader, extra, unchanged, longestLine }: LineRequest): string {
  const members = plan.columns.map((column, i) => `${sqlName(memberName(column.field, i, reader))} ${readType(column.type, reader)}`);
  if (plan.ownOrder) members.push(`${sqlName(memberName('_tapline_order', plan.columns.length, reader))} VARCHAR`);
  const record = ['emitted_at BIGINT', `meta STRUCT(changes STRUCT(field VARCHAR, "change" VARCHAR, reason VARCHAR)[]${unchanged ? ', unchanged VARCHAR[]' : ''})`];
  if (members.length > 0) record.push(`data STRUCT(${members.join(', ')})`);
  if (extra) record.push('extra VARCHAR');
  return `read_json(${sqlString(input)}, format = 'newline_delimited', records = true, auto_detect = false, maximum_object_size = ${longestLine + 1024}, `
    + `columns = {record: ${sqlString(`STRUCT(${record.join(', ')})`)}})`;
}

/** The walker names members by number: their own names may differ in case only, which no STRUCT allows. */
export const memberName = (field: string, index: number, reader: Reader): string => (reader === 'raw' ? field : `c${index}`);
