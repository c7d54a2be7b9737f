/** One table takes another's place, within the transaction that is open. */
import { configError } from '@tapline/protocol';
import { duckdbDialect } from '../dialects/duckdb.js';
import { catalogName } from '../dialects/duckdb-name.js';
import type { TableName } from '../dialects/dialect.js';
import type { Row, Scalar } from '../warehouse.js';

export interface ReplaceRequest {
  run(sql: string, parameters?: readonly Scalar[]): Promise<Row[]>;
  readonly from: TableName;
  readonly into: TableName;
}

const { quote, table } = duckdbDialect;
const text = (value: unknown): string => `'${String(value).replaceAll("'", "''")}'`;

/** Views name their tables and need nothing. Comments and indexes are the old table's: they are written down, and made again. */
export async function replaceTable(request: ReplaceRequest): Promise<void> {
  const { run, from, into } = request;
  await refuseView(request);
  const comments = await commentsOf(request);
  const indexes = await run(`SELECT sql FROM duckdb_indexes() WHERE ${there}`, [into.schema, into.table]);
  await run(`DROP TABLE IF EXISTS ${table(into)}`);
  if (from.schema.toLowerCase() === into.schema.toLowerCase()) await run(`ALTER TABLE ${table(from)} RENAME TO ${quote(into.table)}`);
  else await copy(request);
  const columns = await columnsOf(run, into);
  const names = new Set(columns.map(({ name }) => name.toLowerCase()));
  for (const { column, comment } of comments) {
    if (column === undefined) await run(`COMMENT ON TABLE ${table(into)} IS ${text(comment)}`);
    else if (names.has(column.toLowerCase())) await run(`COMMENT ON COLUMN ${table(into)}.${quote(column)} IS ${text(comment)}`);
  }
  for (const { sql } of indexes) await run(qualified(String(sql), into));
}

const there = `database_name = '${catalogName}' AND lower(schema_name) = lower($1) AND lower(table_name) = lower($2)`;

async function refuseView({ run, into }: ReplaceRequest): Promise<void> {
  const views = await run(`SELECT 1 FROM duckdb_views() WHERE ${there.replace('table_name', 'view_name')}`, [into.schema, into.table]);
  if (views.length > 0) throw configError(`${into.schema}.${into.table} is a view: drop it, or let table_name give the stream's table another name`, { code: 'not_a_table' });
}

async function commentsOf({ run, into }: ReplaceRequest): Promise<{ readonly column: string | undefined; readonly comment: string }[]> {
  const found = (await run(
    `SELECT NULL AS name, comment FROM duckdb_tables() WHERE ${there} AND comment IS NOT NULL
     UNION ALL SELECT column_name, comment FROM duckdb_columns() WHERE ${there} AND comment IS NOT NULL`,
    [into.schema, into.table],
  )) as { name: string | null; comment: string }[];
  return found.map(({ name, comment }) => ({ column: name ?? undefined, comment }));
}

/** There is no SET SCHEMA: the rows are written again, into a schema that may not be there yet. */
async function copy({ run, from, into }: ReplaceRequest): Promise<void> {
  const columns = await columnsOf(run, from);
  await run(duckdbDialect.createSchema(into.schema));
  await run(`CREATE TABLE ${table(into)} (${columns.map(({ name, type, nullable }) => `${quote(name)} ${type}${nullable ? '' : ' NOT NULL'}`).join(', ')})`);
  await run(`INSERT INTO ${table(into)} SELECT * FROM ${table(from)}`);
  await run(`DROP TABLE ${table(from)}`);
}

async function columnsOf(run: ReplaceRequest['run'], of: TableName): Promise<{ readonly name: string; readonly type: string; readonly nullable: boolean }[]> {
  const rows = await run(`SELECT column_name, data_type, is_nullable FROM duckdb_columns() WHERE ${there} ORDER BY column_index`, [of.schema, of.table]);
  return rows.map((row) => ({ name: String(row['column_name']), type: String(row['data_type']), nullable: row['is_nullable'] === true }));
}

/** As the engine tells it, an index names its table without catalog, and without schema where that is `main`. */
function qualified(sql: string, into: TableName): string {
  return sql.replace(/^(CREATE (?:UNIQUE )?INDEX (?:"(?:[^"]|"")*"|\S+) ON )(?:(?:"(?:[^"]|"")*"|[^\s.("]+)\.)*(?:"(?:[^"]|"")*"|[^\s.("]+)\s*(?=\(|USING)/i, (_, head: string) => `${head}${table(into)}`);
}
