/** What DuckDB's catalog is asked, of the warehouse's file. */
import type { CatalogQueries } from './dialect.js';
import { catalogName } from './duckdb-name.js';

// Columns of the file's tables only: those of a view may be gone, and nobody asks for them.
const relations = 'SELECT t.schema_name, t.relation_name, t.kind, c.column_name AS name, c.data_type AS type FROM ('
  + `SELECT schema_name, table_name AS relation_name, 'r' AS kind FROM duckdb_tables() WHERE database_name = '${catalogName}' `
  + `UNION ALL SELECT schema_name, view_name, 'v' FROM duckdb_views() WHERE database_name = '${catalogName}') t `
  + `LEFT JOIN (SELECT schema_name, table_name, column_name, data_type, column_index FROM duckdb_columns() WHERE database_name = '${catalogName}') c `
  + "ON t.kind = 'r' AND c.schema_name = t.schema_name AND c.table_name = t.relation_name WHERE lower(t.schema_name)";

export const duckdbCatalog: CatalogQueries = {
  schema: `SELECT 1 AS found FROM duckdb_schemas() WHERE database_name = '${catalogName}' AND lower(schema_name) = lower($1)`,
  relation: `${relations} = lower($1) AND lower(t.relation_name) = lower($2) ORDER BY c.column_index`,
  relations: (count) => `${relations} IN (${Array.from({ length: count }, (_, i) => `$${i + 1}`).join(', ')}) ORDER BY c.column_index`,
};
