import { startPostgres, type PostgresServer } from '../services/index.js';

/** A server of this run's own, gone with it: slots that nobody reads keep its log from being recycled. As a user's would be set, but for fsync. */
export async function startCdcServer(conf: Record<string, string | number> = {}): Promise<PostgresServer> {
  const usual = { shared_buffers: '1GB', max_wal_size: '8GB', wal_level: 'logical', autovacuum: 'off', checkpoint_timeout: '30min', max_replication_slots: 50, max_wal_senders: 50 };
  return startPostgres({ version: 18, conf: { ...usual, ...conf } });
}

/** The source's URI for a database of it. */
export const cdcSource = (url: string, options: Record<string, string> = {}): string => `${url}?${new URLSearchParams({ replication: 'cdc', ...options }).toString()}`;

/** Bytes of log between two positions. */
export const lsnOf = (text: string): bigint => {
  const [high = '0', low = '0'] = text.split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
};
