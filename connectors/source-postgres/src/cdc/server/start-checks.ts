/**
 * Whether a stored position can be gone on from. PostgreSQL itself would say nothing: it begins at the slot's position where that is later,
 * and takes a position of another history for one of its own.
 */
import { configError, type ConnectorError } from '@tapline/protocol';
import type { SystemIdentity } from '../connection/replication-stream.js';
import { formatLsn, parseLsn, type Lsn } from '../lsn.js';
import type { SharedState } from '../state.js';
import { dropCommand, type Slot } from './slot.js';

export interface StartQuestion {
  readonly shared: SharedState;
  /** Undefined: there is none of that name. */
  readonly slot: Slot | undefined;
  readonly names: { readonly slot: string };
  readonly system: SystemIdentity;
  /** Of the server's timeline; not looked at where it is the stored one. */
  readonly history: string;
  readonly database: string;
}

export interface StartAnswer {
  /** Why changes are lost between the position and what the server can send; undefined: it goes on. */
  readonly lost?: string;
}

const anew = 'Run once with --full-refresh to copy everything again';

/** Throws a `config_error` where somebody has to look: another server, a slot of another kind. */
export function checkStart({ shared, slot, names, system, history, database }: StartQuestion): StartAnswer {
  const position = parseLsn(shared.lsn);
  if (system.systemId !== shared.system_id) {
    throw otherServer(`the position in the state is of another PostgreSQL cluster (system identifier ${shared.system_id}, this one: ${system.systemId}): correct host and port. After pg_upgrade or a restore into a new cluster: ${lower(anew)}`);
  }
  const { timeline } = system;
  if (timeline !== shared.timeline) {
    const end = timeline > shared.timeline ? endOfTimeline(history, shared.timeline) : undefined;
    if (end === undefined) {
      throw otherServer(`the position in the state is of timeline ${shared.timeline}, which the server, on timeline ${timeline}, does not come from: it looks like an old primary, or another branch of a recovery. Connect to the current primary. ${anew} if this is it`);
    }
    if (position > end) {
      return { lost: `the server was promoted (timeline ${timeline}) from a copy that ends at ${formatLsn(end)}, before the stored position ${shared.lsn}: the destination holds changes that this server never had` };
    }
  }
  if (position > system.walPosition) {
    throw configError(`the stored position ${shared.lsn} is beyond the end of the server's log (${formatLsn(system.walPosition)}): the server was restored to an earlier time, or lost its last transactions in a crash, and the destination holds changes that it does not have. ${anew}`, { code: 'pg_position_ahead' });
  }
  if (shared.slot !== names.slot) {
    throw configError(`the stored position is of replication slot '${shared.slot}', and the configuration names '${names.slot}': set slot to '${shared.slot}'. ${anew} with the new one, and then drop the old: ${dropCommand(shared.slot)}`, { code: 'pg_other_slot' });
  }
  if (!slot) return { lost: `replication slot '${names.slot}' does not exist any more: somebody dropped it, or the server was replaced by a copy without it` };
  requireOurKind(slot, database);
  if (slot.invalid !== undefined || slot.restartLsn === undefined) {
    return { lost: `the server has invalidated replication slot '${slot.name}' (${slot.invalid ?? 'no log is kept'}): ${slot.invalid === 'wal_removed' || slot.invalid === undefined ? 'it removed log that the slot needed; see max_slot_wal_keep_size' : 'see its log'}` };
  }
  if (slot.confirmedLsn !== undefined && slot.confirmedLsn > position) {
    return { lost: `replication slot '${slot.name}' is at ${formatLsn(slot.confirmedLsn)}, beyond the stored position ${shared.lsn}: it was made again, or somebody else read from it` };
  }
  return {};
}

/** Throws a `config_error` for a slot that we cannot read. */
export function requireOurKind({ name, plugin, database, logical, temporary }: Slot, ours: string): void {
  if (logical && !temporary && plugin === 'pgoutput' && database === ours) return;
  const kind = !logical ? 'physical' : temporary ? 'temporary' : `of plugin ${plugin} in database ${database}`;
  throw configError(`replication slot '${name}' is ${kind}, and not ours: name another with the option slot, or drop it, if nobody needs it: ${dropCommand(name)}`, { code: 'pg_foreign_slot' });
}

/** Where a timeline of before ends in the server's history. https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES */
export function endOfTimeline(history: string, timeline: number): Lsn | undefined {
  for (const line of history.split('\n')) {
    const [id, end] = line.trim().split(/\s+/);
    if (id === String(timeline) && end !== undefined) return parseLsn(end);
  }
  return undefined;
}

const otherServer = (message: string): ConnectorError => configError(message, { code: 'pg_other_server' });
const lower = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
