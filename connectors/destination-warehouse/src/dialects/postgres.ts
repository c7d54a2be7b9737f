/** PostgreSQL's way of writing it. From 14 on. */
import { postgresType } from '@tapline/catalog';
import { identifier, literal, qualified } from '@tapline/postgres-client';
import type { Dialect, NewColumn, TableName } from './dialect.js';
import { postgresCatalog } from './postgres-catalog.js';
import { postgresForms } from './postgres-forms.js';

/** https://www.postgresql.org/docs/current/ddl-system-columns.html */
const systemColumns = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid']);

/** Where the session's temporary tables are, whatever that schema is called. */
const temporary = 'pg_temp';

/** No query chooses rows by these, and to sort a sample of them takes longer than that of most data: ANALYZE passes them over. */
const unaskedColumns = new Set(['_airbyte_raw_id', '_airbyte_meta', '_tapline_order']);

const table = (name: TableName): string => qualified(name.schema, name.table);
const list = (names: readonly string[]): string => names.map(identifier).join(', ');

/** The order is hex digits, compared as bytes: under a language's rules digits may follow letters, and comparing is dear. */
const typeOf = ({ name, type }: NewColumn): string => (name === '_tapline_order' ? 'text COLLATE "C"' : postgresType(type));
const definition = (column: NewColumn): string => `${identifier(column.name)} ${typeOf(column)}${column.nullable ? '' : ' NOT NULL'}`;

/** IF NOT EXISTS asks for the right to make schemas even where it is there; two that make it at once are one. Where it is there, tables can be made in it. */
const createSchema = (schema: string): string => `DO ${literal(`BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = ${literal(schema).trim()}) THEN CREATE SCHEMA ${identifier(schema)};
  ELSIF NOT pg_catalog.has_schema_privilege(${literal(schema).trim()}, 'CREATE') THEN RAISE insufficient_privilege USING SCHEMA = ${literal(schema).trim()}; END IF;
EXCEPTION WHEN duplicate_schema OR unique_violation THEN NULL;
END`)}`;

export const postgresDialect: Dialect = {
  name: 'postgres',
  defaultSchema: 'public',
  maxNameBytes: 63,
  caseSensitive: true,
  movesBetweenSchemas: true,
  isReservedSchema: (name) => name.startsWith('pg_') || name === 'information_schema',
  isReservedColumn: (name) => systemColumns.has(name),
  quote: identifier,
  table,
  type: postgresType,
  createSchema,
  createTable: (name, columns, key) => {
    const unasked = columns.filter((column) => unaskedColumns.has(column.name)).map((column) => `ALTER COLUMN ${identifier(column.name)} SET STATISTICS 0`);
    return [
      `CREATE TABLE ${table(name)} (${[...columns.map(definition), ...(key.length > 0 ? [`PRIMARY KEY (${list(key)})`] : [])].join(', ')})`,
      ...(unasked.length > 0 ? [`ALTER TABLE ${table(name)} ${unasked.join(', ')}`] : []),
    ];
  },
  createTemporary: (name, columns) => ({
    table: { schema: temporary, table: name },
    statements: [`CREATE TEMPORARY TABLE ${qualified(temporary, name)} (${columns.map(definition).join(', ')}) ON COMMIT DROP`],
  }),
  addColumn: (name, column) => [`ALTER TABLE ${table(name)} ADD COLUMN ${definition(column)}`],
  widenColumn: (name, column, type) => [`ALTER TABLE ${table(name)} ALTER COLUMN ${identifier(column)} TYPE ${postgresType(type)}`],
  dropColumn: (name, column) => [`ALTER TABLE ${table(name)} DROP COLUMN ${identifier(column)}`],
  addKey: (name, key, kind) => [kind === 'primary' ? `ALTER TABLE ${table(name)} ADD PRIMARY KEY (${list(key)})` : `CREATE INDEX ON ${table(name)} (${list(key)})`],
  tryKey: (name, key) => [
    // Its own subtransaction: a statement that fails would end ours. Building the index finds the key that is there twice in one go.
    `DO ${literal(`BEGIN ALTER TABLE ${table(name)} ADD PRIMARY KEY (${list(key)}); EXCEPTION WHEN unique_violation THEN NULL; END`).trim()}`,
  ],
  findKey: (name, key) => {
    const columns = `(SELECT array_agg(a.attname::text) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey))`;
    const wanted = `ARRAY[${key.map((column) => literal(column)).join(', ')}]::text[]`;
    return `SELECT 1 AS one FROM pg_catalog.pg_constraint c WHERE c.conrelid = ${literal(table(name)).trim()}::pg_catalog.regclass AND c.contype = 'p' AND ${columns} @> ${wanted} AND ${columns} <@ ${wanted}`;
  },
  altersComeFirst: false,
  dropKey: (name, key) => [
    dropPrimaryKey(name),
    `ALTER TABLE ${table(name)} ${key.map((column) => `ALTER COLUMN ${identifier(column)} DROP NOT NULL`).join(', ')}`,
    `CREATE INDEX ON ${table(name)} (${list(key)})`,
  ],
  dropTable: (name) => [`DROP TABLE IF EXISTS ${table(name)}`],
  analyze: (name) => [`ANALYZE ${table(name)}`],
  userSettings: ['SET LOCAL search_path TO DEFAULT'],
  forms: postgresForms,
  catalog: postgresCatalog,
};

/** Its name is only known there: a table that was moved and renamed has an older one's. */
function dropPrimaryKey(name: TableName): string {
  const target = literal(table(name)).trim();
  return `DO ${literal(`DECLARE key name; BEGIN
  SELECT conname INTO key FROM pg_catalog.pg_constraint WHERE conrelid = ${target}::pg_catalog.regclass AND contype = 'p';
  IF FOUND THEN EXECUTE pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', ${target}, key); END IF;
END`)}`;
}
