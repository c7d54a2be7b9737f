/** The part of `check` that is about cdc: everything that is wrong in one message, what is worth knowing in the log. */
import { configError } from '@tapline/protocol';
import type { VerbContext } from '@tapline/sdk';
import type { Config } from '../../config.js';
import type { Connection } from '../../connection.js';
import { ReplicationStream } from '../connection/replication-stream.js';
import { replicationHealth } from './health.js';
import type { WantedTable } from './publication.js';

export async function checkReplication(connection: Connection, { config, log }: Pick<VerbContext<Config>, 'config' | 'log'>, tables: readonly WantedTable[]): Promise<void> {
  const findings = await replicationHealth(connection, config, tables);
  for (const { level, message } of findings) if (level !== 'error') log(level === 'warning' ? 'WARN' : 'INFO', message);
  const errors = findings.filter(({ level }) => level === 'error');
  if (errors.length === 1) throw configError(errors[0]!.message, { code: errors[0]!.code });
  if (errors.length > 1) throw configError(errors.map(({ message }, i) => `(${i + 1}) ${message}`).join('; '), { code: errors[0]!.code });
  // pg_hba.conf, and whatever stands in between, may still let in the one kind of session and not the other.
  await using stream = await ReplicationStream.open(config);
  await stream.identify();
}
