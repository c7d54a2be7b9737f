/** Replication slots: found, listed, made, dropped. A slot keeps the log from its position on, whether anybody reads it or not. */
import { setTimeout as sleep } from 'node:timers/promises';
import { literal } from '@tapline/postgres-client';
import { configError, transientError, type ConnectorError } from '@tapline/protocol';
import type { Connection } from '../../connection.js';
import { parseLsn, type Lsn } from '../lsn.js';
import { namePrefix } from '../names.js';
import { requirePrimary } from './primary.js';
import { writersOf } from './writers.js';

/** A row of pg_replication_slots. https://www.postgresql.org/docs/current/view-pg-replication-slots.html */
export interface Slot {
  readonly name: string;
  readonly plugin: string | undefined;
  readonly logical: boolean;
  /** Of a logical one. */
  readonly database: string | undefined;
  readonly temporary: boolean;
  /** The session that reads it now. */
  readonly activePid: number | undefined;
  readonly restartLsn: Lsn | undefined;
  /** Everything before was confirmed, and is gone. */
  readonly confirmedLsn: Lsn | undefined;
  readonly walStatus: 'reserved' | 'extended' | 'unreserved' | 'lost' | undefined;
  /** Why it cannot be read any more; undefined = it can. */
  readonly invalid: string | undefined;
  /** Bytes that may be written until it is in danger; undefined = no limit (max_slot_wal_keep_size), or lost. */
  readonly safeBytes: number | undefined;
  /** Bytes of log that are kept for it. */
  readonly retainedBytes: number | undefined;
  readonly failover: boolean;
}

export async function findSlot(connection: Connection, name: string): Promise<Slot | undefined> {
  return (await slots(connection, `s.slot_name = ${literal(name)}`))[0];
}

/** Ours in this database, by name; `all`: whoever's they are, in the whole cluster. */
export async function listSlots(connection: Connection, { all = false } = {}): Promise<Slot[]> {
  return slots(connection, all ? 'true' : `(s.slot_name = 'tapline' OR pg_catalog.starts_with(s.slot_name::text, ${literal(namePrefix)})) AND s.database = pg_catalog.current_database()`);
}

export interface NewSlot {
  readonly name: string;
  readonly failover: boolean;
  /** Seconds; see slot_timeout. */
  readonly timeout: number;
}

/**
 * Makes it, and returns its position: every transaction that commits from there on will come. The server waits for the transactions that
 * run, and for those that begin meanwhile. The publication must be there before: changes are decoded with the catalog of their time.
 */
export async function createSlot(connection: Connection, { name, failover, timeout }: NewSlot): Promise<Lsn> {
  await requirePrimary(connection);
  const ms = String(Math.round(timeout * 1000));
  const last = failover ? ', false, false, true' : '';
  try {
    const [row] = await connection.transaction<{ lsn: string }>([`SELECT lsn::text FROM pg_catalog.pg_create_logical_replication_slot(${literal(name)}, 'pgoutput'${last})`], {
      settings: { statement_timeout: ms, lock_timeout: ms },
      // The server's own limit comes first; this one is for a server that does not answer.
      limitMs: timeout * 1000 + 5000,
    });
    return parseLsn(row!.lsn);
  } catch (error) {
    throw await whyNotCreated(connection, name, timeout, error);
  }
}

/** False: there was none. `force` ends the session that reads it; without, one that is read for longer than `waitMs` is an error. */
export async function dropSlot(connection: Connection, name: string, { force = false, waitMs = 0 } = {}): Promise<boolean> {
  const begun = performance.now();
  for (let attempt = 1; ; attempt++) {
    try {
      await connection.query(`SELECT pg_catalog.pg_drop_replication_slot(${literal(name)})`);
      return true;
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === '42704') return false;
      if (code === '42501') throw noReplication(connection, error);
      if (code !== '55006') throw connection.classify(error);
      if (performance.now() - begun < waitMs) {
        await sleep(50);
        continue;
      }
      const pid = (await findSlot(connection, name))?.activePid;
      if (force && attempt <= 50) {
        if (pid !== undefined) await connection.query('SELECT pg_catalog.pg_terminate_backend($1::int)', [pid]).catch((refused: unknown) => { throw connection.classify(refused); });
        await sleep(100);
        continue;
      }
      throw transientError(`replication slot '${name}' is read by session ${pid ?? 'unknown'}: stop the sync that reads it first${pid === undefined ? '' : `, or SELECT pg_terminate_backend(${pid})`}`, { code: 'pg_slot_in_use', cause: error });
    }
  }
}

export const dropCommand = (name: string): string => `SELECT pg_drop_replication_slot(${literal(name)});`;

async function whyNotCreated(connection: Connection, name: string, timeout: number, cause: unknown): Promise<ConnectorError> {
  switch ((cause as { code?: unknown }).code) {
    case '57014':
    case '55P03': {
      const writers = await writersOf(connection).catch(() => []);
      return transientError(
        `replication slot '${name}' was not ready within slot_timeout (${timeout} s): the server waits for the transactions that ran when it began${writers.length > 0 ? ` (${writers.join(', ')})` : ''}. End them, or raise slot_timeout`,
        { code: 'pg_slot_timeout', cause },
      );
    }
    case '42710':
      return configError(`replication slot '${name}' is there already: ${dropCommand(name)} drops it, if no other sync reads it`, { code: 'pg_slot_exists', cause });
    case '53400': {
      const idle = (await listSlots(connection, { all: true }).catch(() => [])).filter(({ activePid }) => activePid === undefined).map((slot) => slot.name);
      return configError(
        `the server has no free replication slot: raise max_replication_slots (and restart it)${idle.length > 0 ? `, or drop one that nobody reads any more, with pg_drop_replication_slot(): ${idle.slice(0, 5).join(', ')}${idle.length > 5 ? ', …' : ''}` : ''}`,
        { code: 'pg_no_free_slot', cause },
      );
    }
    case '55000':
      return configError(`the server does not decode its log: set wal_level = logical in postgresql.conf, and restart it (Amazon RDS: rds.logical_replication = 1)`, { code: 'pg_wal_level', cause });
    case '42501':
      return noReplication(connection, cause);
    case '42883':
      return configError('slot_failover needs PostgreSQL 17 or later: leave it out', { code: 'pg_no_failover', cause });
    default:
      return connection.classify(cause);
  }
}

/** As of a session that was refused at once. */
const noReplication = (connection: Connection, cause: unknown): ConnectorError => connection.classifyFor('replication', cause);

interface SlotRow {
  slot: {
    slot_name: string; plugin: string | null; slot_type: string; database: string | null; temporary: boolean; active_pid: number | null; restart_lsn: string | null; confirmed_flush_lsn: string | null;
    wal_status: Slot['walStatus'] | null; safe_wal_size: number | null; conflicting?: boolean | null; invalidation_reason?: string | null; failover?: boolean;
  };
  retained: string | null;
}

async function slots(connection: Connection, where: string): Promise<Slot[]> {
  // As JSON: each version has other columns.
  const rows = await connection.query<SlotRow>(`
    SELECT pg_catalog.to_jsonb(s) AS slot, pg_catalog.pg_wal_lsn_diff(
      CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn)::text AS retained
    FROM pg_catalog.pg_replication_slots s WHERE ${where} ORDER BY s.slot_name`).catch((error: unknown) => {
    throw connection.classify(error);
  });
  return rows.map(({ slot, retained }) => ({
    name: slot.slot_name,
    plugin: slot.plugin ?? undefined,
    logical: slot.slot_type === 'logical',
    database: slot.database ?? undefined,
    temporary: slot.temporary,
    activePid: slot.active_pid ?? undefined,
    restartLsn: slot.restart_lsn === null ? undefined : parseLsn(slot.restart_lsn),
    confirmedLsn: slot.confirmed_flush_lsn === null ? undefined : parseLsn(slot.confirmed_flush_lsn),
    walStatus: slot.wal_status ?? undefined,
    invalid: slot.invalidation_reason ?? (slot.conflicting ? 'rows_removed' : slot.wal_status === 'lost' ? 'wal_removed' : undefined),
    safeBytes: slot.safe_wal_size ?? undefined,
    retainedBytes: retained === null ? undefined : Math.max(Number(retained), 0),
    failover: slot.failover ?? false,
  }));
}
