/** What users gave a table and its successor gets: its owner, rights, comments, settings and indexes. */
import { identifier, literal } from '@tapline/postgres-client';
import type { TableName } from '../dialects/dialect.js';
import { postgresDialect } from '../dialects/postgres.js';
import type { RunSql } from './postgres-catalog.js';

export interface Belongings {
  readonly owner: string;
  readonly statements: readonly string[];
  /** Each may fail where the new table has other columns, or other rows. */
  readonly indexes: readonly Index[];
}

export interface Index {
  readonly name: string;
  /** From ` USING` on, and whether it is unique: two of the same form are one. */
  readonly form: string;
  readonly unique: boolean;
}

/** Grants of `SELECT acl …`, as statements on `target`; not those of the owner to himself. */
const grants = (acl: string, column: string, target: string): string => `
  SELECT pg_catalog.format('GRANT %s${column === '' ? '' : ' (%I)'} ON TABLE ${target} TO %s%s', x.privilege_type, ${column === '' ? '' : `${column}, `}
    CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS sql
  ${acl}`;

/** The table's name within a template of format(), which is a literal. */
const formatted = (name: TableName): string => postgresDialect.table(name).replaceAll('%', '%%').replaceAll("'", "''");

/** Of the table `oid`, for the one that will stand at `into` with these columns. */
export async function belongingsOf(run: RunSql, { oid, into, columns }: { readonly oid: string; readonly into: TableName; readonly columns: readonly string[] }): Promise<Belongings> {
  const target = formatted(into);
  const there = `ARRAY[${columns.map(literal).join(', ')}]::pg_catalog.text[]`;
  const rows = await run(`
    WITH it AS (SELECT * FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.oid),
    att AS (SELECT a.* FROM pg_catalog.pg_attribute AS a, it WHERE a.attrelid = it.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname::text = ANY (${there}))
    ${grants('FROM it, pg_catalog.aclexplode(it.relacl) AS x WHERE x.grantee <> it.relowner', '', target)}
    UNION ALL ${grants('FROM it, att, pg_catalog.aclexplode(att.attacl) AS x WHERE x.grantee <> it.relowner', 'att.attname', target)}
    UNION ALL SELECT pg_catalog.format('COMMENT ON TABLE ${target} IS %L', pg_catalog.obj_description(oid, 'pg_class')) FROM it WHERE pg_catalog.obj_description(oid, 'pg_class') IS NOT NULL
    UNION ALL SELECT pg_catalog.format('COMMENT ON COLUMN ${target}.%I IS %L', attname, pg_catalog.col_description(attrelid, attnum)) FROM att WHERE pg_catalog.col_description(attrelid, attnum) IS NOT NULL
    UNION ALL SELECT pg_catalog.format('ALTER TABLE ${target} SET (%s = %L)', pg_catalog.split_part(o, '=', 1), pg_catalog.substr(o, pg_catalog.strpos(o, '=') + 1)) FROM it, pg_catalog.unnest(it.reloptions) AS o
    UNION ALL SELECT 'ALTER TABLE ${target.replaceAll('%%', '%')} REPLICA IDENTITY ' || CASE relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END FROM it WHERE relreplident IN ('f', 'n')`, [oid]);
  const [owner] = await run('SELECT pg_catalog.pg_get_userbyid(relowner)::text AS owner FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.oid', [oid]);
  return { owner: String(owner?.['owner']), statements: rows.map((row) => String(row['sql'])), indexes: await plainIndexesOf(run, oid) };
}

/** Those that no constraint made. */
export async function plainIndexesOf(run: RunSql, oid: string): Promise<Index[]> {
  const rows = await run(
    `SELECT c.relname::text AS name, i.indisunique AS unique, pg_catalog.pg_get_indexdef(c.oid) AS definition FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
     WHERE i.indrelid = $1::pg_catalog.oid AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')) ORDER BY c.relname`,
    [oid],
  );
  return rows.map((row) => {
    const definition = String(row['definition']);
    return { name: String(row['name']), unique: row['unique'] === true, form: definition.slice(formStart(definition)) };
  });
}

/** Behind `CREATE INDEX name ON schema.table`, where names may be quoted and hold anything. */
function formStart(definition: string): number {
  const head = /^CREATE (?:UNIQUE )?INDEX (?:"(?:[^"]|"")*"|[^ "]+) ON (?:ONLY )?(?:"(?:[^"]|"")*"|[^ ."]+)\.(?:"(?:[^"]|"")*"|[^ ."]+)/.exec(definition);
  return head ? head[0].length : definition.indexOf(' USING ');
}

/** Rights that a table of `schema` has from its beginning, by ALTER DEFAULT PRIVILEGES: they count where a table is made, and ours was made elsewhere. */
export async function defaultGrants(run: RunSql, into: TableName): Promise<string[]> {
  const target = formatted(into);
  const rows = await run(
    grants(`FROM pg_catalog.pg_default_acl AS d JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace, pg_catalog.aclexplode(d.defaclacl) AS x
      WHERE n.nspname = $1 AND d.defaclobjtype = 'r' AND d.defaclrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER) AND x.grantee <> d.defaclrole`, '', target),
    [into.schema],
  );
  return rows.map((row) => String(row['sql']));
}

/** Takes from everybody but the owner what the table has by default: what its predecessor had comes in place of it. */
export async function revokeAll(run: RunSql, into: TableName): Promise<void> {
  const rows = await run(
    `SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END AS who
     FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS x WHERE c.oid = ${literal(postgresDialect.table(into)).trim()}::pg_catalog.regclass AND x.grantee <> c.relowner`,
  );
  for (const { who } of rows) await run(`REVOKE ALL ON TABLE ${postgresDialect.table(into)} FROM ${String(who)}`);
}

/** Without a name the server finds one. */
export const createIndex = ({ name, unique, form }: Pick<Index, 'unique' | 'form'> & { readonly name?: string }, into: TableName): string =>
  `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${name === undefined ? '' : `${identifier(name)} `}ON ${postgresDialect.table(into)}${form}`;
