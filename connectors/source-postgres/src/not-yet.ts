import { configError } from '@tapline/protocol';
import type { Config } from './config.js';

/** Until change data capture is there. */
export function requireNoCdc({ replication }: Config): void {
  if (replication === 'cdc') throw configError('replication=cdc is not yet available: use replication=none, with full refresh or incremental by a cursor', { code: 'pg_no_cdc' });
}
