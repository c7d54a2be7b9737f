/** What a sync is called on the server: its slot and its publication. */
import { createHash } from 'node:crypto';
import type { Session } from '@tapline/protocol';
import type { Config } from '../config.js';

/** All of ours begin so. */
export const namePrefix = 'tapline_';
const slugLength = 40;

export interface ReplicationNames {
  readonly slot: string;
  readonly publication: string;
  /** The publication is ours to make and to change. */
  readonly managed: boolean;
}

/** Of a sync: a part of its name that people can read, and one that tells it apart. Without a session nobody says which sync it is. */
export function replicationNames(config: Pick<Config, 'slot' | 'publication'>, session: Pick<Session, 'sync'> | undefined): ReplicationNames {
  const slot = config.slot ?? (session ? nameOfSync(session.sync) : 'tapline');
  return { slot, publication: config.publication ?? slot, managed: config.publication === undefined };
}

export function nameOfSync(sync: string): string {
  const slug = sync.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_').replace(/^_|_$/g, '').slice(0, slugLength);
  return `${namePrefix}${slug}_${createHash('sha256').update(sync).digest('hex').slice(0, 8)}`;
}
