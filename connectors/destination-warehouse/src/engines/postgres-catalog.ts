/** What the server knows of a table, as far as another that takes its place must know it. */
import { literal } from '@tapline/postgres-client';
import type { TableName } from '../dialects/dialect.js';
import type { Row, Scalar } from '../warehouse.js';

export type RunSql = (sql: string, parameters?: readonly Scalar[]) => Promise<Row[]>;

export interface Relation {
  readonly oid: string;
  /** `r` = an ordinary table: https://www.postgresql.org/docs/current/catalog-pg-class.html */
  readonly kind: string;
  readonly owner: string;
}

export interface Attribute {
  readonly name: string;
  /** As it is written in a CREATE TABLE, with its collation if that is not the type's own. */
  readonly type: string;
  readonly required: boolean;
}

export async function relationOf(run: RunSql, { schema, table }: TableName): Promise<Relation | undefined> {
  const [row] = await run(
    `SELECT c.oid::text AS oid, c.relkind::text AS kind, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
    [schema, table],
  );
  return row && { oid: String(row['oid']), kind: String(row['kind']), owner: String(row['owner']) };
}

export async function attributesOf(run: RunSql, oid: string): Promise<Attribute[]> {
  const rows = await run(
    `SELECT a.attname::text AS name, a.attnotnull AS required, pg_catalog.format_type(a.atttypid, a.atttypmod)
       || CASE WHEN a.attcollation <> t.typcollation THEN (SELECT pg_catalog.format(' COLLATE %I.%I', n.nspname, l.collname) FROM pg_catalog.pg_collation AS l
            JOIN pg_catalog.pg_namespace AS n ON n.oid = l.collnamespace WHERE l.oid = a.attcollation) ELSE '' END AS type
     FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
     WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [oid],
  );
  return rows.map((row) => ({ name: String(row['name']), type: String(row['type']), required: row['required'] === true }));
}

/** Columns of the primary key in its order, and the name of the constraint; undefined = none. */
export async function primaryKeyOf(run: RunSql, oid: string): Promise<{ readonly name: string; readonly columns: readonly string[] } | undefined> {
  const rows = await run(
    `SELECT k.conname::text AS key, a.attname::text AS name FROM pg_catalog.pg_constraint AS k CROSS JOIN LATERAL pg_catalog.unnest(k.conkey) WITH ORDINALITY AS c (attnum, at)
     JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.attnum WHERE k.conrelid = $1::pg_catalog.oid AND k.contype = 'p' ORDER BY c.at`,
    [oid],
  );
  return rows.length === 0 ? undefined : { name: String(rows[0]!['key']), columns: rows.map((row) => String(row['name'])) };
}

const regclass = (name: string): string => `${literal(`pg_catalog.${name}`)}::pg_catalog.regclass`;

/**
 * What hangs on the table and would go with it, or keep it from going: views, foreign keys, triggers, policies, publications,
 * constraints and the like, in the server's words. Not its columns, its primary key, and its plain indexes.
 */
export async function dependentsOf(run: RunSql, oid: string): Promise<string[]> {
  const rows = await run(
    `WITH it AS (SELECT c.*, t.typarray FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_type AS t ON t.oid = c.reltype WHERE c.oid = $1::pg_catalog.oid)
     SELECT DISTINCT CASE WHEN d.classid = ${regclass('pg_rewrite')}
         THEN (SELECT pg_catalog.pg_describe_object(${regclass('pg_class')}, r.ev_class, 0) FROM pg_catalog.pg_rewrite AS r WHERE r.oid = d.objid)
         ELSE pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END AS what
     FROM pg_catalog.pg_depend AS d, it
     WHERE d.deptype IN ('n', 'a')
       AND (d.refclassid = ${regclass('pg_class')} AND d.refobjid = it.oid OR d.refclassid = ${regclass('pg_type')} AND d.refobjid IN (it.reltype, it.typarray))
       AND NOT (d.classid = ${regclass('pg_class')} AND EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indexrelid = d.objid AND i.indrelid = it.oid))
       AND NOT (d.classid = ${regclass('pg_constraint')} AND EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.oid = d.objid AND k.conrelid = it.oid AND k.contype IN ('p', 'n')))
     UNION ALL SELECT 'row level security' FROM it WHERE relrowsecurity
     UNION ALL SELECT 'inheritance' FROM it WHERE relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE it.oid IN (i.inhrelid, i.inhparent))
     UNION ALL SELECT 'an identity column' FROM it WHERE EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = it.oid AND a.attidentity <> '')
     UNION ALL SELECT 'a tablespace of its own' FROM it WHERE reltablespace <> 0
     UNION ALL SELECT 'that it is unlogged' FROM it WHERE relpersistence <> 'p'
     ORDER BY 1`,
    [oid],
  );
  return rows.map((row) => String(row['what']));
}
