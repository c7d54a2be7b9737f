/** Replication slots of a test's database. */
import type { TestDatabase } from '../services/test-database.js';
import { until } from './processes.js';

/** A database whose slot is in use cannot be dropped, and a walsender outlives its client by a moment. */
export async function dropSlots(database: TestDatabase): Promise<void> {
  await until('the slots are free', async () => {
    const [row] = await database.query<{ busy: number }>(
      'SELECT count(pg_terminate_backend(active_pid))::int AS busy FROM pg_replication_slots WHERE database = current_database() AND active_pid IS NOT NULL',
    );
    return row!.busy === 0;
  });
  await database.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()');
}
