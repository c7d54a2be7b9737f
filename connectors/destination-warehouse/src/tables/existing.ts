/** What the database has, asked of the engine's own catalog: information_schema of PostgreSQL hides what the role may not touch. */
import type { Dialect, TableName } from '../dialects/dialect.js';
import { catalogName } from '../dialects/duckdb.js';
import type { Row, Warehouse } from '../warehouse.js';
import { identity } from './names.js';

export interface ExistingRelation {
  /** In words, for messages. */
  readonly kind: 'table' | 'view' | 'materialized view' | 'foreign table' | 'partitioned table' | 'partition' | 'relation';
  /** As the engine spells the types. */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

/** A row a column, with the name and kind of its relation; one with nulls where a relation has none. */
const relations: Readonly<Record<Dialect['name'], string>> = {
  postgres: 'SELECT n.nspname::text AS schema_name, c.relname::text AS relation_name, CASE WHEN c.relispartition THEN \'partition\' ELSE c.relkind::text END AS kind, '
    + 'a.attname::text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type '
    + 'FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace '
    + 'LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname',
  // Columns of the file's tables only: those of a view may be gone, and nobody asks for them.
  duckdb: 'SELECT t.schema_name, t.relation_name, t.kind, c.column_name AS name, c.data_type AS type FROM ('
    + `SELECT schema_name, table_name AS relation_name, 'r' AS kind FROM duckdb_tables() WHERE database_name = '${catalogName}' `
    + `UNION ALL SELECT schema_name, view_name, 'v' FROM duckdb_views() WHERE database_name = '${catalogName}') t `
    + `LEFT JOIN (SELECT schema_name, table_name, column_name, data_type, column_index FROM duckdb_columns() WHERE database_name = '${catalogName}') c `
    + "ON t.kind = 'r' AND c.schema_name = t.schema_name AND c.table_name = t.relation_name WHERE lower(t.schema_name)",
};

const ofOne: Readonly<Record<Dialect['name'], string>> = {
  postgres: ' = $1 AND c.relname = $2 ORDER BY a.attnum',
  duckdb: ' = lower($1) AND lower(t.relation_name) = lower($2) ORDER BY c.column_index',
};

const schemas: Readonly<Record<Dialect['name'], string>> = {
  postgres: 'SELECT 1 AS found FROM pg_catalog.pg_namespace WHERE nspname = $1',
  duckdb: `SELECT 1 AS found FROM duckdb_schemas() WHERE database_name = '${catalogName}' AND lower(schema_name) = lower($1)`,
};

const kinds: Readonly<Record<string, ExistingRelation['kind']>> = {
  r: 'table', v: 'view', m: 'materialized view', f: 'foreign table', p: 'partitioned table', partition: 'partition',
};

/** What there is under a table's name; undefined = nothing. */
export async function existingRelation(warehouse: Warehouse, name: TableName): Promise<ExistingRelation | undefined> {
  const rows = await warehouse.run(relations[warehouse.dialect.name] + ofOne[warehouse.dialect.name], [name.schema, name.table]);
  return rows.length === 0 ? undefined : relationOf(rows);
}

/** All there is in some schemas, by `identity`: one look for many tables. */
export async function existingRelations(warehouse: Warehouse, of: Iterable<string>): Promise<Map<string, ExistingRelation>> {
  const { dialect } = warehouse;
  const wanted = [...new Set([...of].map((schema) => (dialect.caseSensitive ? schema : schema.toLowerCase())))];
  if (wanted.length === 0) return new Map();
  const rows = await warehouse.run(`${relations[dialect.name]} IN (${wanted.map((_, i) => `$${i + 1}`).join(', ')})${dialect.name === 'postgres' ? ' ORDER BY a.attnum' : ' ORDER BY c.column_index'}`, wanted);
  const byName = new Map<string, Row[]>();
  for (const row of rows) {
    const key = identity({ schema: String(row['schema_name']), table: String(row['relation_name']) }, dialect);
    const known = byName.get(key);
    if (known) known.push(row);
    else byName.set(key, [row]);
  }
  return new Map([...byName].map(([key, columns]) => [key, relationOf(columns)]));
}

export async function schemaExists(warehouse: Warehouse, schema: string): Promise<boolean> {
  return (await warehouse.run(schemas[warehouse.dialect.name], [schema])).length > 0;
}

function relationOf(rows: readonly Row[]): ExistingRelation {
  const columns = rows.filter((row) => row['name'] !== null).map((row) => ({ name: String(row['name']), type: String(row['type']) }));
  return { kind: kinds[String(rows[0]!['kind'])] ?? 'relation', columns };
}
