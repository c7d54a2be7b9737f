/** DuckDB, as of 1.5. */
import { duckdbType } from '@tapline/catalog';
import type { Dialect, NewColumn, TableName } from './dialect.js';
import { duckdbCatalog } from './duckdb-catalog.js';
import { duckdbForms } from './duckdb-forms.js';
import { catalogName } from './duckdb-name.js';

/** No schema of anybody's: DuckDB knows no empty name. Temporary tables lie in a catalog of their own. */
const temporarySchema = '';

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const column = ({ name, type, nullable }: NewColumn): string => `${quote(name)} ${duckdbType(type)}${nullable ? '' : ' NOT NULL'}`;
/**
 * How our own columns are packed. The engine would try every method on each part of a table, and come to these: a fifth of what a load
 * costs. It falls back by itself where one does not fit.
 */
const packed: Readonly<Record<string, string>> = { _airbyte_raw_id: 'fsst', _tapline_order: 'fsst', _airbyte_meta: 'dictionary' };
const lasting = (added: NewColumn): string => {
  const method = duckdbType(added.type) === 'VARCHAR' ? packed[added.name] : undefined;
  return column(added) + (method === undefined ? '' : ` USING COMPRESSION ${method}`);
};
const table = (name: TableName): string =>
  name.schema === temporarySchema ? `temp.main.${quote(name.table)}` : `${catalogName}.${quote(name.schema)}.${quote(name.table)}`;
const alter = (name: TableName, change: string): string[] => [`ALTER TABLE ${table(name)} ${change}`];

/**
 * One transaction may not change rows of a table by UPDATE or DELETE and alter it afterwards (it could not commit): ALTERs come first.
 * DELETE and INSERT are cheap, also between large tables; UPDATE and MERGE INTO rewrite whole columns, at ten to twenty times the price.
 */
export const duckdbDialect: Dialect = {
  name: 'duckdb',
  defaultSchema: 'main',
  maxNameBytes: undefined,
  caseSensitive: false,
  isReservedSchema: (name) => ['information_schema', 'pg_catalog'].includes(name.toLowerCase()),
  // `rowid` would hide what the engine calls a row by, and a query that means the one would get the other.
  isReservedColumn: (name) => name.toLowerCase() === 'rowid',
  quote,
  table,
  type: duckdbType,
  createSchema: (schema) => `CREATE SCHEMA IF NOT EXISTS ${catalogName}.${quote(schema)}`,
  /**
   * Without the key: its index lies in memory as a whole, whatever the limit. 10 million text keys take more than a gigabyte, so that
   * the commit fails, and loading takes four to seven times as long. The merge keeps keys unique by itself, and joins by hash.
   */
  createTable: (name, columns) => [`CREATE TABLE ${table(name)} (${columns.map(lasting).join(', ')})`],
  createTemporary(name, columns) {
    const own = { schema: temporarySchema, table: name };
    return { table: own, statements: [`CREATE OR REPLACE TEMPORARY TABLE ${table(own)} (${columns.map(column).join(', ')})`] };
  },
  addColumn: (name, added) => alter(name, `ADD COLUMN ${column({ ...added, nullable: true })}`),
  widenColumn: (name, widened, type) => alter(name, `ALTER COLUMN ${quote(widened)} SET DATA TYPE ${duckdbType(type)}`),
  dropColumn: (name, dropped) => alter(name, `DROP COLUMN ${quote(dropped)}`),
  // No key is ever declared, see createTable.
  addKey: () => [],
  tryKey: () => [],
  findKey: undefined,
  altersComeFirst: true,
  dropKey: (name, key) => key.flatMap((member) => alter(name, `ALTER COLUMN ${quote(member)} DROP NOT NULL`)),
  // There is no SET SCHEMA: to move a table is to write it again.
  movesBetweenSchemas: false,
  dropTable: (name) => [`DROP TABLE IF EXISTS ${table(name)}`],
  // The engine keeps its statistics as it writes; ANALYZE would read the whole table for them.
  analyze: () => [],
  userSettings: [],
  forms: duckdbForms,
  catalog: duckdbCatalog,
};
