/** Where the stream begins: at the stored position, if the server still has all that follows it; else with a slot of its own. */
import { configError } from '@tapline/protocol';
import type { ReadContext } from '@tapline/sdk';
import type { Config } from '../config.js';
import type { Connection } from '../connection.js';
import type { ReplicationStream } from './connection/replication-stream.js';
import { parseLsn, type Lsn } from './lsn.js';
import type { ReplicationNames } from './names.js';
import { createSlot, dropSlot, findSlot } from './server/slot.js';
import { checkStart, requireOurKind } from './server/start-checks.js';
import type { SharedState } from './state.js';

export interface OpenedSlot {
  readonly position: Lsn;
  /** Up to where the server had flushed its log. */
  readonly flushed: Lsn;
  readonly source: Pick<SharedState, 'system_id' | 'timeline'>;
  /** Nothing of before goes on: every table is copied. */
  readonly anew: boolean;
  /** After a reconnection: rejects if this is another server, or another history of it. */
  requireSame(stream: ReplicationStream): Promise<void>;
}

export interface SlotQuestion {
  readonly names: ReplicationNames;
  readonly connection: Connection;
  readonly stream: ReplicationStream;
  readonly shared: SharedState | undefined;
}

export async function openSlot({ config, log }: ReadContext<Config>, { names, connection, stream, shared }: SlotQuestion): Promise<OpenedSlot> {
  const system = await stream.identify();
  const source = { system_id: system.systemId, timeline: system.timeline };
  const found = await findSlot(connection, names.slot);
  const opened = (position: Lsn, anew: boolean): OpenedSlot => ({
    position, anew, source,
    flushed: system.walPosition,
    requireSame: async (other) => {
      const now = await other.identify();
      if (now.systemId === source.system_id && now.timeline === source.timeline) return;
      throw configError(
        now.systemId === source.system_id
          ? `another server answers now (timeline ${now.timeline} after ${source.timeline}): run again, to check where it can be followed from`
          : 'another PostgreSQL cluster answers at this address now: positions in one mean nothing in the other',
        { code: 'pg_other_server' },
      );
    },
  });
  const create = (): Promise<Lsn> => createSlot(connection, { name: names.slot, failover: config.slot_failover, timeout: config.slot_timeout });
  if (shared) {
    const history = system.timeline === shared.timeline ? '' : await stream.timelineHistory(system.timeline);
    const { lost } = checkStart({ shared, slot: found, names, system, history, database: connection.target.database });
    if (lost === undefined) return opened(parseLsn(shared.lsn), false);
    if (config.on_lost === 'fail') {
      throw configError(`${lost}: changes are lost. Run once with --full-refresh to copy everything again, or set on_lost to resnapshot to have that done by itself`, { code: 'pg_changes_lost' });
    }
    log('WARN', `${lost}: changes are lost, and every table is copied again, as on_lost says`);
    if (found) await dropSlot(connection, names.slot);
    return opened(await create(), true);
  }
  // Made by a run that ended before anything of it was stored, or left by a sync whose states are gone: every table is copied anyway. One
  // of our own is made anew, since what it holds of the log may be what cannot be read; one of the user's is taken as it is.
  if (found) {
    requireOurKind(found, connection.target.database);
    if (config.slot !== undefined && found.confirmedLsn !== undefined && found.invalid === undefined) return opened(found.confirmedLsn, true);
    await dropSlot(connection, names.slot);
  }
  return opened(await create(), true);
}
