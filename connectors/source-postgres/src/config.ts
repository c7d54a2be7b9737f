/** What a user configures. Where the server is, and who asks, may also come from libpq's environment (PGHOST, PGPASSWORD, PGSSLMODE …). */
import { addressFields, connectFields } from '@tapline/postgres-client';
import { z } from 'zod';

const about = <Schema extends z.ZodType>(schema: Schema, description: string): Schema => schema.meta({ ...schema.meta(), description });

export const config = z.strictObject({
  ...addressFields,
  schemas: about(z.array(z.string().min(1)).min(1), 'Schemas to look into. Default: all but pg_* and information_schema.').optional(),
  workers: about(z.int().min(1).max(32), 'How many sessions read tables at once, and ranges of a large table: of its key, or of its pages if it has none to go on by. Default: half of the cores, at most 4. For the copies of cdc: snapshot_workers.').optional(),
  replication: about(z.enum(['none', 'cdc']), 'How changes are found: none (full refresh, or incremental by a cursor column), or cdc.').default('none'),
  slot: about(z.string().regex(/^[a-z0-9_]{1,63}$/), 'With cdc: the replication slot. Default: tapline_<sync>_<8 hex>; without a runner, tapline.').optional(),
  publication: about(z.string().min(1).max(63), 'With cdc: a publication of your own, which is checked and never changed. Default: one with the name of the slot, made and kept for the selected tables.').optional(),
  slot_failover: about(z.boolean(), 'With cdc, from PostgreSQL 17 on: the slot is made with failover, so that standbys keep a copy of it.').default(false),
  slot_timeout: about(z.number().positive(), 'With cdc: seconds that making the slot may wait for the transactions that run.').default(120),
  slot_wait: about(z.number().min(0), 'With cdc: seconds to wait for a slot that another session still holds, as a lost one does until wal_sender_timeout.').default(90),
  on_lost: about(z.enum(['fail', 'resnapshot']), 'With cdc: what to do when changes are lost, because the slot is gone, invalid or ahead: fail, or read all tables anew.').default('fail'),
  toast: about(z.enum(['reselect', 'fail']), 'With cdc: an unchanged large value that the log does not carry, into a destination that cannot keep its own: select it again by key, or fail.').default('reselect'),
  snapshot_workers: about(z.int().min(1).max(32), 'With cdc: how many sessions copy tables, and ranges of one table, at once.').default(2),
  snapshot_range_bytes: about(z.int().min(8_192), 'How much of a table one session reads at a time, where several do.').default(134_217_728),
  batch_changes: about(z.int().min(0), 'With cdc, where records travel in batches: how many changes of a table between two checkpoints are few. A table that has more again and again, or ten times as many at once, has them as batches, any other one as lines: a batch is cheaper for many and dearer for a few.').default(200),
  discover_interval: about(z.number().min(0), 'With cdc and --continuous: seconds between two looks for new tables. 0: never.').default(30),
  ...connectFields,
  statement_timeout: about(z.number().min(0), 'Seconds that one statement may take; reading a table is one. 0: no limit.').default(0),
  lock_timeout: about(z.number().min(0), 'Seconds to wait for a lock on a table. 0: no limit.').default(60),
  idle_timeout: about(z.number().min(0), 'Seconds that the server lets our transaction idle while the destination takes its time. 0: no limit.').default(0),
  state_interval_seconds: about(z.number().min(0), 'How often a large table gets a checkpoint. In a session of a runner the runner says; of batches one follows each 16 MB, too.').default(5),
  block_bytes: about(z.int().min(1_024).max(16_777_216), 'How many bytes of lines are written at once.').default(262_144),
});
export type Config = z.infer<typeof config>;
