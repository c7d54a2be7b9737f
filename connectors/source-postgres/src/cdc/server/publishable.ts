/** Which tables can be in a publication without harm, and what to type for the others. */
import { qualified } from '@tapline/postgres-client';
import { configError, type ConnectorError } from '@tapline/protocol';
import type { Connection } from '../../connection.js';

export interface TableFacts {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly persistence: string;
  /** Itself and its partitions: those whose rows an UPDATE or DELETE could not name. */
  readonly unkeyed: readonly { readonly schema: string; readonly name: string; readonly hasKey: boolean }[];
  readonly unlogged: readonly string[];
  /** Columns that are stored as what an expression gives. */
  readonly storedGenerated: readonly string[];
  readonly virtualGenerated: readonly string[];
  readonly columns: readonly string[];
  /** Its ancestors as a partition, the nearest first. */
  readonly ancestors: readonly number[];
}

export async function factsOf(connection: Connection, oids: readonly number[]): Promise<Map<number, TableFacts>> {
  const rows = await connection.query<TableFacts>(factsSql, [oids]);
  return new Map(rows.map((row) => [row.oid, row]));
}

/** Views and the like are read in other ways, and nobody expects more of them. */
export const isReplicable = (facts: TableFacts | undefined): boolean => facts?.kind === 'r' || facts?.kind === 'p';

/** Undefined: it may be published. An UPDATE or DELETE of a published table without a replica identity fails: for its owner, not for us. */
export function refusalOf(facts: TableFacts): ConnectorError | undefined {
  const { schema, name } = facts;
  const stream = { name, namespace: schema };
  const label = `${schema}.${name}`;
  if (!isReplicable(facts)) {
    const what = { v: 'a view', m: 'a materialized view', f: 'a foreign table' }[facts.kind] ?? 'no table';
    return configError(`${label} is ${what}, which PostgreSQL does not replicate: leave it out, or read it with --mode '${label}=full_refresh'`, { code: 'pg_not_replicable', stream });
  }
  if (facts.unlogged.length > 0) {
    return configError(`${label} is unlogged, or has unlogged partitions (${list(facts.unlogged)}), whose changes are not in the log: ALTER TABLE ${facts.unlogged[0]} SET LOGGED;`, { code: 'pg_not_replicable', stream });
  }
  const [first] = facts.unkeyed;
  if (!first) return undefined;
  const commands = facts.unkeyed.slice(0, 3).map((table) => `ALTER TABLE ${qualified(table.schema, table.name)} REPLICA IDENTITY ${table.hasKey ? 'DEFAULT' : 'FULL'};`);
  return configError(
    `${label} has no replica identity${facts.unkeyed.length > 1 || first.name !== name ? ` in ${facts.unkeyed.length} partitions` : ''}: once it is published its UPDATEs and DELETEs would fail. Add a primary key, or: ${commands.join(' ')}${facts.unkeyed.length > 3 ? ' …' : ''}`,
    { code: 'pg_no_replica_identity', stream },
  );
}

const list = (names: readonly string[]): string => `${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`;

// As RelationGetIndexList finds the index: the primary key must be immediate, or updates find no identity.
const factsSql = `
  WITH leaves AS (
    SELECT t.root, l.relnamespace, l.relname, l.relpersistence, k.has_key,
      l.relreplident = 'f' OR (l.relreplident = 'd' AND k.has_key) OR (l.relreplident = 'i' AND k.has_index) AS identified
    FROM (SELECT r.root, r.root AS relid FROM pg_catalog.unnest($1::oid[]) r(root) UNION SELECT r.root, p.relid FROM pg_catalog.unnest($1::oid[]) r(root), pg_catalog.pg_partition_tree(r.root) p) t
    JOIN pg_catalog.pg_class l ON l.oid = t.relid AND l.relkind = 'r',
    LATERAL (SELECT COALESCE(pg_catalog.bool_or(i.indisprimary), false) AS has_key, COALESCE(pg_catalog.bool_or(i.indisreplident), false) AS has_index
      FROM pg_catalog.pg_index i WHERE i.indrelid = l.oid AND i.indisvalid AND i.indisunique AND i.indimmediate) k
  )
  SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, c.relpersistence::text AS persistence,
    COALESCE((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', ln.nspname, 'name', l.relname, 'hasKey', l.has_key) ORDER BY ln.nspname, l.relname)
      FROM leaves l JOIN pg_catalog.pg_namespace ln ON ln.oid = l.relnamespace WHERE l.root = c.oid AND NOT l.identified), '[]') AS unkeyed,
    COALESCE((SELECT pg_catalog.json_agg(pg_catalog.format('%I.%I', ln.nspname, l.relname) ORDER BY ln.nspname, l.relname)
      FROM leaves l JOIN pg_catalog.pg_namespace ln ON ln.oid = l.relnamespace WHERE l.root = c.oid AND l.relpersistence <> 'p'), '[]') AS unlogged,
    ${columnsWhere(`a.attgenerated = 's'`)} AS "storedGenerated", ${columnsWhere(`a.attgenerated = 'v'`)} AS "virtualGenerated", ${columnsWhere('true')} AS columns,
    COALESCE((SELECT pg_catalog.json_agg(p.relid::oid::int8) FROM pg_catalog.pg_partition_ancestors(c.oid) WITH ORDINALITY p(relid, place) WHERE p.relid <> c.oid), '[]') AS ancestors
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = ANY ($1::oid[])`;

function columnsWhere(condition: string): string {
  return `COALESCE((SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND ${condition}), '[]')`;
}
