/**
 * The publication. One of our own is made and kept for the tables that are selected; one of the user's is checked and never changed.
 * https://www.postgresql.org/docs/current/sql-createpublication.html
 */
import { identifier, literal, qualified } from '@tapline/postgres-client';
import { configError, transientError, type ConnectorError } from '@tapline/protocol';
import type { Connection } from '../../connection.js';
import { requirePrimary } from './primary.js';
import { factsOf, refusalOf, type TableFacts } from './publishable.js';

/** What of a table comes: a copy must bring the same. */
export interface PublishedTable {
  /** An expression over its columns, fit for WHERE. */
  readonly rowFilter?: string;
  /** Undefined: all. */
  readonly columns?: readonly string[];
}

export interface WantedTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

export interface PublicationName {
  readonly name: string;
  /** Ours: made where it is missing, and changed. */
  readonly managed: boolean;
}

export interface Published<Table> {
  /** The tables whose changes come. */
  readonly published: ReadonlyMap<Table, PublishedTable>;
  /** Of these, the ones that were put into it now: whoever wrote to them before must be waited for ({@link waitForWriters}) before they are copied. */
  readonly added: readonly Table[];
  readonly refused: ReadonlyMap<Table, ConnectorError>;
}

export interface Publication {
  readonly oid: number;
  readonly all_tables: boolean;
  readonly publishes_all: boolean;
  readonly via_root: boolean;
  /** Null before 18: generated columns never come. */
  readonly generated: string | null;
}

const actions = 'insert, update, delete, truncate';

/**
 * Makes, changes or checks the publication for these tables and no others. Rejects with a `config_error` for what concerns them all;
 * what is wrong with one table is told with it.
 */
export async function ensurePublication<Table extends WantedTable>(connection: Connection, { name, managed }: PublicationName, tables: readonly Table[]): Promise<Published<Table>> {
  await requirePrimary(connection);
  try {
    const facts = await factsOf(connection, tables.map(({ oid }) => oid));
    const refused = new Map<Table, ConnectorError>();
    const wanted = new Map<Table, TableFacts>();
    for (const table of tables) {
      const found = facts.get(table.oid);
      const error = found ? refusalOf(found) : gone(table);
      if (error) refused.set(table, error);
      else wanted.set(table, found!);
    }
    const before = await findPublication(connection, name);
    const members = before ? await membersOf(connection, name) : new Map<number, PublishedTable>();
    if (managed) await reconcile(connection, name, before, [...wanted.values()]);
    const publication = managed ? await findPublication(connection, name) : before;
    if (!publication) throw missing(connection, name, [...wanted.values()]);
    if (!managed) requireComplete(name, publication);
    const after = managed ? await membersOf(connection, name) : members;
    const published = new Map<Table, PublishedTable>();
    for (const [table, known] of wanted) {
      const member = after.get(table.oid);
      if (member) published.set(table, howPublished(known, publication, member));
      else refused.set(table, refusalByPublication(known, name, publication, after));
    }
    return { published, refused, added: [...published.keys()].filter(({ oid }) => !members.has(oid)) };
  } catch (error) {
    throw connection.classify(error);
  }
}

export async function findPublication(connection: Connection, name: string): Promise<Publication | undefined> {
  const [row] = await connection.query<Publication>(
    `SELECT p.oid, p.puballtables AS all_tables, p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AS publishes_all, p.pubviaroot AS via_root,
       pg_catalog.to_jsonb(p) ->> 'pubgencols' AS generated
     FROM pg_catalog.pg_publication p WHERE p.pubname = ${literal(name)}`,
  );
  return row;
}

/** One of our own, with its sync. False: there was none. */
export async function dropPublication(connection: Connection, name: string): Promise<boolean> {
  if (!(await findPublication(connection, name))) return false;
  await change(connection, name, [`DROP PUBLICATION IF EXISTS ${identifier(name)};`]);
  return true;
}

async function reconcile(connection: Connection, name: string, publication: Publication | undefined, wanted: readonly TableFacts[]): Promise<void> {
  const generated = await hasGeneratedOption(connection);
  if (!publication) return change(connection, name, [createCommand(name, wanted, generated)]);
  const statements: string[] = [];
  if (!publication.publishes_all || !publication.via_root || (generated && publication.generated !== 's')) statements.push(`ALTER PUBLICATION ${identifier(name)} SET (${parameters(generated)});`);
  if (!publication.all_tables) {
    const own = await connection.query<WantedTable>(ownTablesSql, [publication.oid]);
    const there = new Set(own.map(({ oid }) => oid));
    const keep = new Set(wanted.map(({ oid }) => oid));
    const missing = wanted.filter(({ oid }) => !there.has(oid));
    const unwanted = own.filter(({ oid }) => !keep.has(oid));
    if (missing.length > 0) statements.push(`ALTER PUBLICATION ${identifier(name)} ADD ${tableList(missing)};`);
    if (unwanted.length > 0) statements.push(`ALTER PUBLICATION ${identifier(name)} DROP ${tableList(unwanted)};`);
  }
  if (statements.length > 0) await change(connection, name, statements);
}

async function change(connection: Connection, name: string, statements: readonly string[]): Promise<void> {
  try {
    await connection.transaction(statements, { write: true });
  } catch (error) {
    const commands = statements.join(' ');
    switch ((error as { code?: unknown }).code) {
      case '42501':
        throw configError(
          `user '${connection.target.user}' may not make or change publication '${name}' (it takes CREATE on the database, and owning the tables). Let their owner run: ${commands} Or give a publication of your own with the option publication`,
          { code: 'pg_no_privilege', cause: error },
        );
      case '55P03':
        throw transientError(`publication '${name}' could not be changed: one of its tables was locked by another session for longer than lock_timeout`, { code: 'pg_locked', cause: error });
      case '42710':
        throw transientError(`publication '${name}' was made by another session at the same time`, { code: 'pg_conflict', cause: error });
      default:
        throw error;
    }
  }
}

const gone = ({ schema, name }: WantedTable): ConnectorError =>
  configError(`${schema}.${name} does not exist any more: discover again, or leave it out`, { code: 'pg_no_table', stream: { name, namespace: schema } });

const missing = (connection: Connection, name: string, tables: readonly TableFacts[]): ConnectorError =>
  configError(`there is no publication '${name}' in database '${connection.target.database}': ${createCommand(name, tables, false)} Or leave the option publication out, and one is made`, { code: 'pg_no_publication' });

function requireComplete(name: string, publication: Publication): void {
  if (publication.publishes_all) return;
  throw configError(`publication '${name}' leaves out a kind of change: ALTER PUBLICATION ${identifier(name)} SET (publish = '${actions}');`, { code: 'pg_publication_incomplete' });
}

function refusalByPublication({ schema, name, kind, ancestors }: TableFacts, publication: string, { via_root: viaRoot }: Publication, members: ReadonlyMap<number, PublishedTable>): ConnectorError {
  const options = (code: string) => ({ code, stream: { name, namespace: schema } });
  if (viaRoot && ancestors.some((ancestor) => members.has(ancestor))) {
    return configError(`${schema}.${name} is a partition of a table that is replicated itself, and its changes come with that one: leave it out`, options('pg_publication_root'));
  }
  if (kind === 'p' && !viaRoot) {
    return configError(`publication '${publication}' tells changes of partitions by the partitions' names, and ${schema}.${name} is partitioned: ALTER PUBLICATION ${identifier(publication)} SET (publish_via_partition_root = true);`, options('pg_publication_root'));
  }
  return configError(`publication '${publication}' does not have ${schema}.${name}: ALTER PUBLICATION ${identifier(publication)} ADD TABLE ${qualified(schema, name)};`, options('pg_not_published'));
}

const parameters = (generated: boolean): string => `publish = '${actions}', publish_via_partition_root = true${generated ? ', publish_generated_columns = stored' : ''}`;

// ONLY: children by inheritance are tables of their own here. Partitions come with their root all the same.
const tableList = (tables: readonly WantedTable[]): string => `TABLE ${tables.map(({ schema, name }) => `ONLY ${qualified(schema, name)}`).join(', ')}`;

const createCommand = (name: string, tables: readonly WantedTable[], generated: boolean): string =>
  `CREATE PUBLICATION ${identifier(name)}${tables.length > 0 ? ` FOR ${tableList(tables)}` : ''} WITH (${parameters(generated)});`;

async function hasGeneratedOption(connection: Connection): Promise<boolean> {
  const [row] = await connection.query<{ has: boolean }>(`SELECT pg_catalog.current_setting('server_version_num')::int >= 180000 AS has`);
  return row!.has;
}

/** What a subscriber would get, by the name under which its changes come: with the root's, where the publication says so. */
async function membersOf(connection: Connection, name: string): Promise<Map<number, PublishedTable>> {
  const rows = await connection.query<{ oid: number; columns: string[] | null; filter: string | null }>(
    `SELECT c.oid, pg_catalog.to_jsonb(t) -> 'attnames' AS columns, pg_catalog.to_jsonb(t) ->> 'rowfilter' AS filter
     FROM pg_catalog.pg_publication_tables t JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
     WHERE t.pubname = ${literal(name)}`);
  return new Map(rows.map((row) => [row.oid, { ...(row.columns && { columns: row.columns }), ...(row.filter !== null && { rowFilter: row.filter }) }]));
}

/** All columns: nothing to say of them. Before 15 the server does not tell which come, and generated ones never do. */
function howPublished({ columns, storedGenerated, virtualGenerated }: TableFacts, { generated }: Publication, { columns: listed, rowFilter }: PublishedTable): PublishedTable {
  const coming = listed ?? columns.filter((name) => !virtualGenerated.includes(name) && (generated === 's' || !storedGenerated.includes(name)));
  return { ...(rowFilter !== undefined && { rowFilter }), ...(columns.some((name) => !coming.includes(name)) && { columns: coming }) };
}

const ownTablesSql = `
  SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name
  FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE r.prpubid = $1::oid ORDER BY 2, 3`;
