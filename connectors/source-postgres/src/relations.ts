/** What is in the database: tables, views and their like with columns and keys, in four catalog queries however many there are. */
import type { Connection } from './connection.js';
import { columnType, type ColumnType, type PgType, type PgTypes } from './types.js';

export interface RelationColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly notNull: boolean;
  /** Text is ordered by its bytes. */
  readonly collationIsC: boolean;
  /** The first column of an index: its least and greatest values are known at once. */
  readonly leadsIndex: boolean;
  /** Computed by the server: GENERATED ALWAYS AS (…). */
  readonly generated: 'stored' | 'virtual' | undefined;
}

export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: 'table' | 'partitioned' | 'view' | 'materialized_view' | 'foreign_table';
  /** `schema.root` where it is a partition. */
  readonly partitionOf: { readonly schema: string; readonly name: string } | undefined;
  /** Has children by inheritance, which are streams themselves. */
  readonly hasChildren: boolean;
  /** A guess by the planner's statistics; undefined where there are none. */
  readonly rows: number | undefined;
  readonly readable: boolean;
  readonly rowSecurity: boolean;
  readonly columns: readonly RelationColumn[];
  /** The primary key, else a unique index without nulls, else empty. */
  readonly key: readonly string[];
  /** Its changes are written to the log. */
  readonly isLogged: boolean;
  readonly replicaIdentity: ReplicaIdentity;
}

/** What the log holds of a row's old version: by which columns an update or a delete is known. */
export interface ReplicaIdentity {
  readonly kind: 'default' | 'index' | 'full' | 'nothing';
  /** The columns that every change carries: of the primary key, or of the index; empty where there is none. */
  readonly columns: readonly string[];
}

/** Either all of some schemas (undefined: all but the system's), or some by name. */
export type Wanted = { readonly schemas: readonly string[] | undefined } | { readonly names: readonly { readonly schema: string; readonly name: string }[] };

export async function findRelations(connection: Connection, wanted: Wanted): Promise<Relation[]> {
  const found = await connection.query<RelationRow>(relationsSql('names' in wanted), 'names' in wanted
    ? [wanted.names.map(({ schema }) => schema), wanted.names.map(({ name }) => name)]
    : [wanted.schemas ?? null]);
  const ids = [found.map(({ oid }) => oid)];
  const columns = byRelation(await connection.query<ColumnRow>(columnsSql, ids));
  const indexes = byRelation(await connection.query<IndexRow>(indexesSql, ids));
  const types = new Map((await connection.query<PgType>(typesSql(typesOfRelations), ids)).map((type) => [type.oid, type]));
  return found.map((row) => relationOf(row, columns.get(row.oid) ?? [], indexes.get(row.oid) ?? [], types));
}

function relationOf(row: RelationRow, columns: readonly ColumnRow[], indexes: readonly IndexRow[], types: PgTypes): Relation {
  const leading = new Set(indexes.map(({ columns: [first] }) => first));
  const names = new Map(columns.map(({ number, name }) => [number, name]));
  const notNull = new Set(columns.filter((column) => column.not_null).map(({ number }) => number));
  const usable = indexes.filter((index) => index.is_primary || (index.is_unique && index.columns.every((number) => notNull.has(number))));
  const key = usable.find((index) => index.is_primary) ?? usable.sort((a, b) => a.columns.length - b.columns.length || (a.name < b.name ? -1 : 1))[0];
  return {
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    kind: kinds[row.kind],
    partitionOf: row.root_name === null ? undefined : { schema: row.root_schema!, name: row.root_name },
    hasChildren: row.has_children,
    rows: row.rows === null || row.rows < 0 ? undefined : row.rows,
    readable: row.readable,
    rowSecurity: row.row_security,
    columns: columns.map((column) => ({
      name: column.name,
      type: columnType(column.type, column.modifier, types),
      notNull: column.not_null,
      collationIsC: column.collation_is_c,
      leadsIndex: leading.has(column.number),
      generated: column.generated === '' ? undefined : column.generated === 's' ? 'stored' : 'virtual',
    })),
    key: key ? key.columns.map((number) => names.get(number)!) : [],
    isLogged: row.persistence === 'p',
    replicaIdentity: identityOf(row, indexes, names),
  };
}

function identityOf(row: RelationRow, indexes: readonly IndexRow[], names: ReadonlyMap<number, string>): ReplicaIdentity {
  const kind = identities[row.identity];
  const index = kind === 'default' ? indexes.find((candidate) => candidate.is_primary) : kind === 'index' ? indexes.find((candidate) => candidate.is_identity) : undefined;
  return { kind, columns: index?.columns.map((number) => names.get(number)!) ?? [] };
}

/** Types by their ids, with all that they are made of. One that is not there any more is left out. */
export async function findTypes(connection: Connection, oids: readonly number[]): Promise<PgTypes> {
  return new Map((await connection.query<PgType>(typesSql('SELECT pg_catalog.unnest($1::oid[])'), [oids])).map((type) => [type.oid, type]));
}

function byRelation<Row extends { readonly relation: number }>(rows: readonly Row[]): Map<number, Row[]> {
  const groups = new Map<number, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.relation);
    if (group) group.push(row);
    else groups.set(row.relation, [row]);
  }
  return groups;
}

interface RelationRow {
  oid: number; schema: string; name: string; kind: keyof typeof kinds; root_schema: string | null; root_name: string | null;
  has_children: boolean; rows: number | null; readable: boolean; row_security: boolean; persistence: string; identity: keyof typeof identities;
}
interface ColumnRow { relation: number; number: number; name: string; type: number; modifier: number; not_null: boolean; collation_is_c: boolean; generated: '' | 's' | 'v' }
interface IndexRow { relation: number; name: string; is_primary: boolean; is_unique: boolean; is_identity: boolean; columns: number[] }

const kinds = { r: 'table', p: 'partitioned', v: 'view', m: 'materialized_view', f: 'foreign_table' } as const;
const identities = { d: 'default', i: 'index', f: 'full', n: 'nothing' } as const;

const relationsSql = (byName: boolean): string => `
  SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, rn.nspname::text AS root_schema, rc.relname::text AS root_name,
    (c.relkind = 'r' AND c.relhassubclass) AS has_children,
    CASE c.relkind
      WHEN 'p' THEN (SELECT pg_catalog.sum(GREATEST(l.reltuples, 0)) FROM pg_catalog.pg_partition_tree(c.oid) p JOIN pg_catalog.pg_class l ON l.oid = p.relid WHERE p.isleaf)::float8
      WHEN 'v' THEN NULL WHEN 'f' THEN NULL
      ELSE c.reltuples::float8 END AS rows,
    pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT') AS readable,
    c.relrowsecurity AND pg_catalog.row_security_active(c.oid) AS row_security,
    c.relpersistence::text AS persistence, c.relreplident::text AS identity
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_class rc ON c.relispartition AND rc.oid = pg_catalog.pg_partition_root(c.oid)
  LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND ${byName
    ? '(n.nspname, c.relname) IN (SELECT * FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])))'
    : `CASE WHEN $1::text[] IS NULL THEN n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ELSE n.nspname = ANY ($1::text[]) END`}
  ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

const columnsSql = `
  SELECT a.attrelid AS relation, a.attnum AS number, a.attname::text AS name, a.atttypid AS type, a.atttypmod AS modifier, a.attnotnull AS not_null, a.attgenerated::text AS generated,
    COALESCE(CASE WHEN l.collname = 'default' THEN d.datcollate ELSE l.collname END IN ('C', 'POSIX'), false) AS collation_is_c
  FROM pg_catalog.pg_attribute a
  LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
  JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
  WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  ORDER BY a.attrelid, a.attnum`;

const indexesSql = `
  SELECT i.indrelid AS relation, c.relname::text AS name, i.indisprimary AS is_primary, i.indisunique AND i.indimmediate AS is_unique, i.indisreplident AS is_identity,
    (SELECT pg_catalog.array_agg(k.n::int4 ORDER BY k.place) FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(n, place) WHERE k.place <= i.indnkeyatts) AS columns
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = c.relam
  WHERE i.indrelid = ANY ($1::oid[]) AND m.amname = 'btree' AND i.indisvalid AND i.indisready AND i.indpred IS NULL AND i.indexprs IS NULL`;

const typesOfRelations = 'SELECT DISTINCT atttypid FROM pg_catalog.pg_attribute WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped';

const typesSql = (from: string): string => `
  WITH RECURSIVE used(oid) AS (
    ${from}
    UNION SELECT u.next FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid, pg_catalog.unnest(ARRAY[t.typbasetype, t.typelem]) u(next) WHERE u.next <> 0
  )
  SELECT t.oid, n.nspname::text AS schema, t.typname::text AS name, t.typtype = 'd' AS "isDomain", t.typbasetype AS base, t.typtypmod AS modifier,
    CASE WHEN t.typcategory = 'A' AND t.typlen = -1 AND EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid) THEN t.typelem ELSE 0 END AS element,
    t.typtype IN ('b', 'e', 'r', 'm') AND t.typelem = 0 AND t.oid < 16384 AS "isPlain",
    t.typtype IN ('b', 'e', 'r', 'm') AND t.typsubscript::pg_catalog.text <> 'array_subscript_handler' AND t.typdelim = ','
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.castsource = t.oid AND c.casttarget = 114 AND c.castmethod = 'f') AS "isQuoted",
    COALESCE((SELECT l.lanname = 'internal' AND f.prosrc IN ('textsend', 'varcharsend', 'bpcharsend', 'namesend', 'enum_send')
      FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_language l ON l.oid = f.prolang WHERE f.oid = t.typsend), false) AS "sendsText"
  FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace`;
