/** An older writer of the same sync that hangs in a transaction holds the row of the checkpoint, and would hold it for as long as it hangs. */
import { openClient } from '@tapline/postgres-client';
import { classifyWrite } from './postgres-errors.js';
import type { SessionOptions } from './postgres-session.js';

const inTransaction = `SELECT a.pid FROM pg_catalog.pg_stat_activity AS a
 WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.pid <> $1 AND a.datname = pg_catalog.current_database() AND a.usename = CURRENT_USER
   AND a.application_name = $2 AND a.backend_type = 'client backend' AND a.xact_start IS NOT NULL`;
const blocking = `${inTransaction} AND a.pid = ANY (pg_catalog.pg_blocking_pids($1))`;

/**
 * Ends sessions of the same sync that are in a transaction, but for the one of the server's process `own`: all of them, or those that `own`
 * waits for. A newer writer takes the epoch, so that what they have not committed yet must not be. True if there was one.
 */
export async function endHungWriters(options: SessionOptions, own: number, which: 'all' | 'blocking'): Promise<boolean> {
  const find = which === 'all' ? inTransaction : blocking;
  const { client, target } = await openClient({ ...options.config, application_name: `${options.applicationName} takeover` }, 'SELECT 1');
  try {
    const { rows } = await client.query<{ pid: number }>(find, [own, options.applicationName]);
    let ended = false;
    for (const { pid } of rows) {
      const { rows: answer } = await client.query<{ ended: boolean }>('SELECT pg_catalog.pg_terminate_backend($1) AS ended', [pid]);
      ended ||= answer[0]?.ended === true;
    }
    if (ended) options.log('WARN', `an older writer of this sync hung in a transaction on ${target.host}:${target.port}: its session was ended, and nothing of that transaction is kept`);
    return ended;
  } catch (error) {
    throw classifyWrite(error, { target, alive: true, sql: find });
  } finally {
    await client.end().catch(() => {});
  }
}
