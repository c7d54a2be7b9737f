/** What the server said about a statement that writes, to what a user can do about it. By codes and names only, never by a message: messages hold values. */
import { classify, config, identifier, qualified, system, transient, type Known, type Target } from '@tapline/postgres-client';
import type { ConnectorError } from '@tapline/protocol';

export interface WriteAttempt {
  readonly target: Target;
  readonly alive: boolean;
  /** The statement. */
  readonly sql: string;
}

/** As the driver has them: the fields of an ErrorResponse that hold names. */
interface ServerSaid {
  readonly code?: string;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly constraint?: string;
}

/** Always a ConnectorError; one of ours stays as it is. */
export function classifyWrite(error: unknown, { target, alive, sql }: WriteAttempt): ConnectorError {
  const said = (typeof error === 'object' && error !== null ? error : {}) as ServerSaid;
  return classify(error, { ...target, alive, meanwhile: `${aboutOf(sql, said)} was written` }, (state) => bySqlState(state, { target, sql, said }));
}

interface Failure {
  readonly target: Target;
  readonly sql: string;
  readonly said: ServerSaid;
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function bySqlState(state: string, { target, sql, said }: Failure): Known | undefined {
  const { user, database } = target;
  const about = aboutOf(sql, said);
  // A standby refuses the beginning of a transaction that may write.
  if (state === '0A000' && sql === 'BEGIN') return readOnly(database);
  switch (state) {
    case '42501':
      return config('pg_no_privilege', missingRight(target, sql, said));
    case '42P01':
    case '42703':
    case '3F000':
      return config('pg_changed', `${about} is not there any more, or has lost a column: somebody else changed it. Put it back, or reset the stream's state so that it is made anew`);
    case '42P07':
    case '42P06':
    case '42710':
      return transient('pg_conflict', `${about} was made by somebody else at the same moment`);
    case '42809':
      return config('pg_not_a_table', `${about} is no ordinary table (a view, a foreign table …): rename it or drop it, or give the stream's table another name by table_name or schema_name`);
    case '0A000':
    case '2BP01':
      return config('pg_dependents', `${about} cannot be changed as its stream asks, because a view or another object depends on it: drop that first, or sync with schema=add_only`);
    case '23505':
      if (said.schema === 'pg_catalog') return transient('pg_conflict', `${about} was made by somebody else at the same moment`);
      return config('pg_constraint', `${about} has a row of the same key already${by(said)}: rows were written by somebody else, or a unique index was added. Drop the index, or reset the stream's state so that the table is made anew`);
    case '23502':
    case '23503':
    case '23514':
    case '23P01':
    case '44000':
      return config('pg_constraint', `${about} has a constraint that is not ours and refuses a row${by(said)}: drop the constraint`);
    case '55P03':
      return transient('locked', `${about} was locked by another session for longer than lock_timeout`);
    case '57014':
      return config('pg_canceled', `a statement on ${about} took longer than statement_timeout, or was canceled: raise statement_timeout (0 = no limit)`);
    case '25P03':
    case '25P04':
      return transient('pg_connection_lost', 'the server ended our transaction, because it idled for too long');
    case '25006':
      return readOnly(database);
    case '40001':
    case '40P01':
      return transient('pg_conflict', `writing ${about} conflicted with other work on the server`);
    case '53100':
      return config('pg_disk_full', `the disk of the server is full (${about} was written): make room, then run it again; nothing of the commit has been kept`);
    case '54000':
    case '54001':
    case '54011':
    case '54023':
      return config('pg_limit', `${about} runs into a limit of PostgreSQL: 1,600 columns in a table, some 2,700 bytes in a key, 1 GB in a row, 6,000 levels in JSON. Leave the column out, or choose another key`);
    case '22P05':
    case '22021':
      return config('pg_encoding', `${about} cannot hold a character that is in the data, because of the encoding of database '${database}': use a database with the encoding UTF8`);
    case '26000':
    case '08P01':
      return config('pg_pooler', `${target.host}:${target.port} is a connection pooler that does not keep a transaction on one connection: set its pool_mode to session or transaction, or give host and port of PostgreSQL itself`);
    case '58P01':
      return system('pg_internal', `the server failed inside while ${about} was written: see its log`);
  }
  switch (state.slice(0, 2)) {
    case '22':
      return config('pg_bad_value', `${about} refuses a value that a column of its type does not hold${said.column === undefined ? '' : ` (column ${identifier(said.column)})`}: has the column been given another type, or a constraint?`);
    case '53':
      return state === '53300' ? undefined : transient('pg_resources', `${target.host}:${target.port} is out of resources`);
    case '38':
    case '39':
    case 'P0':
      return config('pg_trigger', `a trigger or a function on ${about} fails: correct it, or drop it`);
    case 'XX':
    case '58':
      return system('pg_internal', `the server failed inside while ${about} was written: see its log`);
    case '42':
      return system('pg_unexpected', `the server does not understand a statement on ${about} as user '${user}'`);
  }
  return undefined;
}

const readOnly = (database: string): Known => config('pg_read_only', `database '${database}' can only be read: it is a standby. Give host and port of the primary`);

const by = ({ constraint, column }: ServerSaid): string =>
  constraint !== undefined ? ` (${identifier(constraint)})` : column !== undefined ? ` (column ${identifier(column)})` : '';

function missingRight({ user, database }: Target, sql: string, said: ServerSaid): string {
  const who = identifier(user);
  const inSchema = (schema: string): string => `user '${user}' may make no table in schema ${identifier(schema)}: GRANT USAGE, CREATE ON SCHEMA ${identifier(schema)} TO ${who};`;
  if (sql.includes('CREATE SCHEMA')) {
    if (said.schema !== undefined) return inSchema(said.schema);
    return `user '${user}' may not make a schema in database '${database}': GRANT CREATE ON DATABASE ${identifier(database)} TO ${who};`;
  }
  if (/^\s*CREATE TEMP/i.test(sql)) return `user '${user}' may not make temporary tables in database '${database}': GRANT TEMPORARY ON DATABASE ${identifier(database)} TO ${who};`;
  // A table goes where it may not be made.
  const moved = / SET SCHEMA "((?:[^"]|"")+)"$/.exec(sql);
  if (moved) return inSchema(unquoted(moved[1]!));
  const schema = tableOf(sql)?.schema;
  const rights = schema === undefined ? '' : `GRANT USAGE, CREATE ON SCHEMA ${identifier(schema)} TO ${who}; `;
  return `user '${user}' may not write ${aboutOf(sql, said)}: ${rights}tables that are there must be the user's own (ALTER TABLE … OWNER TO ${who};)`;
}

/** The table that the server named, else the first that the statement does. */
function aboutOf(sql: string, { schema, table }: ServerSaid): string {
  if (schema !== undefined && table !== undefined && schema !== 'pg_catalog') return qualified(schema, table);
  const named = tableOf(sql);
  if (named) return qualified(named.schema, named.table);
  const made = /CREATE SCHEMA "((?:[^"]|"")+)"/.exec(sql);
  return made ? `schema ${identifier(unquoted(made[1]!))}` : 'the database';
}

function tableOf(sql: string): { schema: string; table: string } | undefined {
  const found = /"((?:[^"]|"")+)"\."((?:[^"]|"")+)"/.exec(sql);
  return found ? { schema: unquoted(found[1]!), table: unquoted(found[2]!) } : undefined;
}

const unquoted = (name: string): string => name.replaceAll('""', '"');
