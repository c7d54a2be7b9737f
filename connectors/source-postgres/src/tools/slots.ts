/** The tools `slots`, `drop_slot` and `lag`: what people see of replication slots, and how they get rid of one. */
import { identifier, literal } from '@tapline/postgres-client';
import { configError } from '@tapline/protocol';
import type { ToolContext } from '@tapline/sdk';
import { z } from 'zod';
import { formatLsn, parseLsn } from '../cdc/lsn.js';
import { namePrefix } from '../cdc/names.js';
import { lagOf } from '../cdc/server/health.js';
import { dropSlot as drop, listSlots, type Slot } from '../cdc/server/slot.js';
import type { Config } from '../config.js';
import { openPatiently } from '../patience.js';

/** Each slot of ours in the database; of `slot` in the configuration, too. */
export async function* slots(context: ToolContext<Config>): AsyncGenerator<object, void, undefined> {
  await using connection = await openPatiently(context);
  const { database } = connection.target;
  for (const slot of await listSlots(connection, { all: true })) {
    if (slot.database === database && (slot.name.startsWith('tapline') || slot.name === context.config.slot)) yield shown(slot);
  }
}

const shown = ({ name, database, activePid, confirmedLsn, walStatus, invalid, retainedBytes, safeBytes }: Slot): object => ({
  name, database, active: activePid !== undefined, ...(activePid !== undefined && { pid: activePid }),
  position: confirmedLsn === undefined ? null : formatLsn(confirmedLsn),
  wal_status: walStatus ?? null, retained_bytes: retainedBytes ?? null, safe_bytes: safeBytes ?? null,
  ...(invalid !== undefined && { lost: invalid }),
});

const DropArgs = z.object({ name: z.string().min(1), force: z.boolean().optional() });

/** The slot, and the publication of its name that the sync had made for itself. `dropped` false: there is none. */
export async function* dropSlot(context: ToolContext<Config>, given: unknown): AsyncGenerator<object, void, undefined> {
  const args = DropArgs.safeParse(given);
  if (!args.success) throw configError('drop_slot needs --args with {"name": …}', { code: 'bad_args' });
  const { name, force = false } = args.data;
  await using connection = await openPatiently(context);
  const dropped = await drop(connection, name, { force });
  const [publication] = name.startsWith(namePrefix) && context.config.publication !== name
    ? await connection.query(`SELECT FROM pg_catalog.pg_publication WHERE pubname = ${literal(name)}`).catch(refused)
    : [];
  if (publication) await connection.transaction([`DROP PUBLICATION ${identifier(name)}`], { write: true }).catch(refused);
  yield { name, dropped, publication_dropped: publication !== undefined };

  function refused(cause: unknown): never {
    throw connection.classify(cause);
  }
}

const LagArgs = z.object({ state: z.looseObject({ lsn: z.string() }) });

/** How much log lies behind a position: `state` is the shared part of a GLOBAL state. Nothing of another mode has a position. */
export async function* lag(context: ToolContext<Config>, given: unknown): AsyncGenerator<object, void, undefined> {
  const args = LagArgs.safeParse(given);
  if (!args.success) return;
  await using connection = await openPatiently(context);
  const { position, end, bytes } = await lagOf(connection, parseLsn(args.data.state.lsn));
  yield { position: formatLsn(position), end: formatLsn(end), bytes };
}
