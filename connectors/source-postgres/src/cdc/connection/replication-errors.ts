/** SQLSTATEs that mean something of their own on a replication stream; everything else is as in any session. */
import type { Target } from '@tapline/postgres-client';
import { configError, transientError, type ConnectorError } from '@tapline/protocol';
import { classify } from '../../classify.js';

export interface StreamAttempt {
  readonly target: Target;
  readonly slot: string;
  readonly publications: readonly string[];
  /** The stream has begun: what is missing now is no longer the slot. */
  readonly streaming: boolean;
}

export function classifyStreamError(error: unknown, { target, slot, publications, streaming }: StreamAttempt): ConnectorError {
  const code = (error as { code?: unknown } | null)?.code;
  const options = (ours: string) => ({ code: ours, cause: error });
  const names = publications.map((name) => `'${name}'`).join(', ');
  switch (code) {
    case '55006':
      return transientError(`replication slot '${slot}' is held by another session, perhaps a lost one of ours, or another run of this sync (SQLSTATE 55006)`, options('pg_slot_in_use'));
    case '42704':
      return streaming
        ? configError(`publication ${names} is gone, or was not there when changes were made that are to be read now (SQLSTATE 42704): those are lost. Run once with --full-refresh to copy everything again (and create it first, if it is one of your own)`, options('pg_publication_missing'))
        : configError(`replication slot '${slot}' does not exist (SQLSTATE 42704): somebody dropped it. Changes since then are lost: --full-refresh reads all tables anew, and on_lost=resnapshot does so by itself`, options('pg_slot_missing'));
    case '58P01':
    case '55000':
      return configError(
        `the server can no longer decode from replication slot '${slot}' (SQLSTATE ${code}): log that it needs was removed (max_slot_wal_keep_size), or wal_level is no longer logical. --full-refresh reads all tables anew, and on_lost=resnapshot does so by itself`,
        options('pg_slot_lost'),
      );
    default:
      return classify(error, { ...target, purpose: 'replication' });
  }
}
