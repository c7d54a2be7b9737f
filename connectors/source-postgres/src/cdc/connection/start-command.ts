/** https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-START-REPLICATION */
import { identifier, literal } from '@tapline/postgres-client';
import { formatLsn, type Lsn } from '../lsn.js';
import type { LogForm } from '../decode/tuple.js';
import { messageType } from './server-message.js';

export interface StartCommand {
  readonly slot: string;
  readonly publications: readonly string[];
  readonly from: Lsn;
  /** Whether what pg_logical_emit_message() writes comes, too. */
  readonly messages: boolean;
  /** Default: text. */
  readonly form?: LogForm;
}

/** START_REPLICATION of pgoutput, as a Query message. */
export function startCommand({ slot, publications, from, messages, form }: StartCommand): Buffer {
  const options = [`proto_version '1'`, `publication_names ${literal(publications.map(identifier).join(','))}`, ...(form === 'binary' ? [`binary 'true'`] : []), ...(messages ? [`messages 'true'`] : [])];
  const text = Buffer.from(`START_REPLICATION SLOT ${identifier(slot)} LOGICAL ${formatLsn(from)} (${options.join(', ')})\0`);
  const head = Buffer.alloc(5);
  head.writeUInt8(messageType.query, 0);
  head.writeUInt32BE(4 + text.length, 1);
  return Buffer.concat([head, text]);
}
