/** Whether this server, this role and these tables can be followed by their log: all that is wrong at once, each with what to type. */
import { identifier, qualified } from '@tapline/postgres-client';
import { toConnectorError, type ConnectorError } from '@tapline/protocol';
import type { Config } from '../../config.js';
import type { Connection } from '../../connection.js';
import { formatLsn, parseLsn, type Lsn } from '../lsn.js';
import { namePrefix } from '../names.js';
import { ensurePublication, type WantedTable } from './publication.js';
import { factsOf, isReplicable, refusalOf } from './publishable.js';
import { dropCommand, listSlots, type Slot } from './slot.js';

export interface Finding {
  /** `error`: cdc cannot run. `warning`: it can, but not for all, or not for long. */
  readonly level: 'error' | 'warning' | 'info';
  readonly code: string;
  readonly message: string;
}

const error = (code: string, message: string): Finding => ({ level: 'error', code, message });
const warning = (code: string, message: string): Finding => ({ level: 'warning', code, message });
const info = (code: string, message: string): Finding => ({ level: 'info', code, message });

/** Of the server, the role, the slots in the database; and of `tables`, those that cannot be replicated. */
export async function replicationHealth(connection: Connection, config: Pick<Config, 'publication' | 'slot'>, tables: readonly WantedTable[]): Promise<Finding[]> {
  const server = await serverFacts(connection);
  const slots = await listSlots(connection, { all: true });
  const ours = slots.filter(({ name, database }) => database === connection.target.database && (name === 'tapline' || name.startsWith(namePrefix) || name === config.slot));
  return [
    ...serverFindings(connection, server, slots, ours),
    ...roleFindings(connection, server, config),
    ...ours.flatMap(slotFindings),
    ...(server.standby ? [] : await tableFindings(connection, config, tables)),
  ];
}

export interface Lag {
  readonly position: Lsn;
  /** The end of the server's log. */
  readonly end: Lsn;
  readonly bytes: number;
}

/** How much log lies behind a position. */
export async function lagOf(connection: Connection, position: Lsn): Promise<Lag> {
  const [row] = await connection.query<{ end: string }>(`SELECT ${logEnd}::text AS end`).catch((failure: unknown) => {
    throw connection.classify(failure);
  });
  const end = parseLsn(row!.end);
  return { position, end, bytes: end > position ? Number(end - position) : 0 };
}

const logEnd = 'CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() END';

interface ServerFacts {
  readonly pid: number;
  readonly standby: boolean;
  readonly wal_level: string;
  readonly max_slots: number;
  readonly max_senders: number;
  readonly senders: number;
  readonly keep_mb: number;
  readonly idle_timeout: string | null;
  readonly may_replicate: boolean;
  readonly may_publish: boolean;
}

async function serverFacts(connection: Connection): Promise<ServerFacts> {
  const setting = (name: string): string => `(SELECT setting FROM pg_catalog.pg_settings WHERE name = '${name}')`;
  const [row] = await connection.query<ServerFacts>(`
    SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.pg_is_in_recovery() AS standby, ${setting('wal_level')} AS wal_level,
      ${setting('max_replication_slots')}::int AS max_slots, ${setting('max_wal_senders')}::int AS max_senders, ${setting('max_slot_wal_keep_size')}::int AS keep_mb,
      pg_catalog.current_setting('idle_replication_slot_timeout', true) AS idle_timeout,
      (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_stat_activity WHERE backend_type = 'walsender') AS senders,
      (SELECT r.rolreplication OR r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER)
        OR EXISTS (SELECT FROM pg_catalog.pg_roles m WHERE m.rolname = 'rds_replication' AND pg_catalog.pg_has_role(m.oid, 'MEMBER')) AS may_replicate,
      pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_publish`).catch((failure: unknown) => {
    throw connection.classify(failure);
  });
  return row!;
}

function serverFindings(connection: Connection, server: ServerFacts, slots: readonly Slot[], ours: readonly Slot[]): Finding[] {
  const { host, port } = connection.target;
  const found: Finding[] = [];
  // A pooler hands out process ids of its own; so does a proxy that is none, which is why this is no error.
  if (server.pid !== connection.processId) {
    found.push(warning('pg_pooler', `${host}:${port} looks like a connection pooler (PgBouncer or the like), where neither a replication session nor what a session sets can be relied on: give host and port of PostgreSQL itself`));
  }
  if (server.standby) found.push(error('pg_standby', `${host}:${port} is a standby: connect to the primary`));
  found.push(server.wal_level === 'logical'
    ? info('pg_wal_level', 'wal_level is logical')
    : error('pg_wal_level', `wal_level is ${server.wal_level}: ALTER SYSTEM SET wal_level = logical; and restart the server (Amazon RDS: rds.logical_replication = 1)`));
  if (server.max_senders === 0) found.push(error('pg_no_wal_sender', 'max_wal_senders is 0: ALTER SYSTEM SET max_wal_senders = 10; and restart the server'));
  else if (server.senders >= server.max_senders) found.push(warning('pg_no_wal_sender', `all ${server.max_senders} walsenders are in use: raise max_wal_senders (and restart the server), or end some`));
  const idle = slots.filter(({ activePid }) => activePid === undefined);
  const drop = idle.length > 0 ? `; or drop one that nobody reads any more: ${idle.slice(0, 3).map(({ name }) => dropCommand(name)).join(' ')}` : '';
  if (slots.length < server.max_slots) found.push(info('pg_slots', `${slots.length} of ${server.max_slots} replication slots are in use`));
  else if (ours.length === 0) found.push(error('pg_no_free_slot', `all ${server.max_slots} replication slots are in use: ALTER SYSTEM SET max_replication_slots = ${server.max_slots + 10}; and restart the server${drop}`));
  else found.push(warning('pg_no_free_slot', `all ${server.max_slots} replication slots are in use, so no sync can be added: raise max_replication_slots (and restart the server)${drop}`));
  if (server.keep_mb < 0) found.push(info('pg_keep_size', 'max_slot_wal_keep_size has no limit: a slot that nobody reads can fill the disk'));
  if (server.idle_timeout !== null && server.idle_timeout !== '0') found.push(warning('pg_idle_timeout', `idle_replication_slot_timeout is ${server.idle_timeout}: a slot that nobody reads for so long is lost. Sync more often`));
  return found;
}

function roleFindings(connection: Connection, server: ServerFacts, config: Pick<Config, 'publication'>): Finding[] {
  const { user, database } = connection.target;
  const found: Finding[] = [];
  if (!server.may_replicate) found.push(error('pg_no_replication', `user '${user}' may not replicate: ALTER ROLE ${identifier(user)} REPLICATION; (Amazon RDS: GRANT rds_replication TO ${identifier(user)};)`));
  if (!server.may_publish && config.publication === undefined) {
    found.push(warning('pg_no_publish', `user '${user}' may make no publication in database '${database}': GRANT CREATE ON DATABASE ${identifier(database)} TO ${identifier(user)}; and let it own the tables, or have their owner make one and name it with the option publication`));
  }
  return found;
}

function slotFindings({ name, activePid, invalid, walStatus, safeBytes, retainedBytes, confirmedLsn }: Slot): Finding[] {
  const kept = retainedBytes === undefined ? '' : `, which keeps ${sizeOf(retainedBytes)} of log`;
  const position = confirmedLsn === undefined ? '' : ` at ${formatLsn(confirmedLsn)}`;
  if (invalid !== undefined) {
    return [warning('pg_slot_lost', `replication slot '${name}' is lost (${invalid}): the sync that reads it must copy everything again (--full-refresh, or on_lost=resnapshot). If there is none: ${dropCommand(name)}`)];
  }
  const state = `replication slot '${name}'${position} (${activePid === undefined ? 'nobody reads it now' : `read by session ${activePid}`}; wal_status ${walStatus ?? 'unknown'})${kept}`;
  if (walStatus === 'unreserved') return [warning('pg_slot_in_danger', `${state}: it will be lost with the next checkpoint. Run its sync now, and raise max_slot_wal_keep_size`)];
  if (walStatus === 'extended') {
    return [warning('pg_slot_behind', `${state}, more than max_wal_size${safeBytes === undefined ? '' : `; after ${sizeOf(Math.max(safeBytes, 0))} more it is lost (max_slot_wal_keep_size)`}. Run its sync, or, if there is none any more: ${dropCommand(name)}`)];
  }
  return [info('pg_slot', state)];
}

async function tableFindings(connection: Connection, config: Pick<Config, 'publication'>, all: readonly WantedTable[]): Promise<Finding[]> {
  const facts = await factsOf(connection, all.map(({ oid }) => oid));
  const tables = all.filter(({ oid }) => isReplicable(facts.get(oid)));
  if (config.publication === undefined) {
    return summary(tables.flatMap((table) => {
      const failure = refusalOf(facts.get(table.oid)!);
      return failure ? [{ table, failure }] : [];
    }), tables.length);
  }
  try {
    const { refused, published } = await ensurePublication(connection, { name: config.publication, managed: false }, tables);
    const [first] = refused.values();
    if (published.size === 0 && first) return [error('pg_not_published', `publication '${config.publication}' has none of the ${tables.length} tables: ${first.message}`)];
    return summary([...refused].map(([table, failure]) => ({ table, failure })), tables.length);
  } catch (thrown) {
    const { code, message } = toConnectorError(thrown);
    return [error(code, message)];
  }
}

/** A few in full, the rest by name: a database may have thousands. */
function summary(problems: readonly { readonly table: WantedTable; readonly failure: ConnectorError }[], of: number): Finding[] {
  const inFull = 5;
  const found = problems.slice(0, inFull).map(({ failure }) => warning(failure.code, failure.message));
  const rest = problems.slice(inFull);
  if (rest.length > 0) {
    const names = rest.slice(0, 20).map(({ table }) => qualified(table.schema, table.name)).join(', ');
    found.push(warning('pg_more_tables', `${problems.length} of ${of} tables cannot be replicated as they are; beside those above: ${names}${rest.length > 20 ? ', …' : ''}`));
  }
  return found;
}

function sizeOf(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
}
