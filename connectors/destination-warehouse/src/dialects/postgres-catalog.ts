/** What PostgreSQL's catalog is asked: information_schema hides what the role may not touch. */
import type { CatalogQueries } from './dialect.js';

const relations = 'SELECT n.nspname::text AS schema_name, c.relname::text AS relation_name, CASE WHEN c.relispartition THEN \'partition\' ELSE c.relkind::text END AS kind, '
  + 'a.attname::text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type '
  + 'FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace '
  + 'LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname';

export const postgresCatalog: CatalogQueries = {
  schema: 'SELECT 1 AS found FROM pg_catalog.pg_namespace WHERE nspname = $1',
  relation: `${relations} = $1 AND c.relname = $2 ORDER BY a.attnum`,
  relations: (count) => `${relations} IN (${Array.from({ length: count }, (_, i) => `$${i + 1}`).join(', ')}) ORDER BY a.attnum`,
};
