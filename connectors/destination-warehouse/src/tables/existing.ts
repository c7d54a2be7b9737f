/** What the database has, asked of the engine's own catalog: information_schema of PostgreSQL hides what the role may not touch. */
import type { Dialect, TableName } from '../dialects/dialect.js';
import { catalogName } from '../dialects/duckdb.js';
import type { Warehouse } from '../warehouse.js';

export interface ExistingRelation {
  /** In words, for messages. */
  readonly kind: 'table' | 'view' | 'materialized view' | 'foreign table' | 'partitioned table' | 'partition' | 'relation';
  /** As the engine spells the types. */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

const queries: Readonly<Record<Dialect['name'], { readonly schema: string; readonly relation: string }>> = {
  postgres: {
    schema: 'SELECT 1 AS found FROM pg_catalog.pg_namespace WHERE nspname = $1',
    relation: 'SELECT CASE WHEN c.relispartition THEN \'partition\' ELSE c.relkind::text END AS kind, a.attname::text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type '
      + 'FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace '
      + 'LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped '
      + 'WHERE n.nspname = $1 AND c.relname = $2 ORDER BY a.attnum',
  },
  duckdb: {
    schema: `SELECT 1 AS found FROM duckdb_schemas() WHERE database_name = '${catalogName}' AND lower(schema_name) = lower($1)`,
    relation: 'SELECT t.table_type AS kind, c.column_name AS name, c.data_type AS type FROM information_schema.tables t '
      + 'LEFT JOIN information_schema.columns c ON c.table_catalog = t.table_catalog AND c.table_schema = t.table_schema AND c.table_name = t.table_name '
      + `WHERE t.table_catalog = '${catalogName}' AND lower(t.table_schema) = lower($1) AND lower(t.table_name) = lower($2) ORDER BY c.ordinal_position`,
  },
};

const kinds: Readonly<Record<string, ExistingRelation['kind']>> = {
  r: 'table', v: 'view', m: 'materialized view', f: 'foreign table', p: 'partitioned table', partition: 'partition', 'BASE TABLE': 'table', VIEW: 'view',
};

/** What there is under a table's name; undefined = nothing. */
export async function existingRelation(warehouse: Warehouse, { schema, table }: TableName): Promise<ExistingRelation | undefined> {
  const rows = await warehouse.run(queries[warehouse.dialect.name].relation, [schema, table]);
  if (rows.length === 0) return undefined;
  const columns = rows.filter((row) => row['name'] !== null).map((row) => ({ name: String(row['name']), type: String(row['type']) }));
  return { kind: kinds[String(rows[0]!['kind'])] ?? 'relation', columns };
}

export async function schemaExists(warehouse: Warehouse, schema: string): Promise<boolean> {
  return (await warehouse.run(queries[warehouse.dialect.name].schema, [schema])).length > 0;
}
