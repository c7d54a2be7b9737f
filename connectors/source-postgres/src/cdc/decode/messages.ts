/**
 * The messages of pgoutput, protocol version 1: one is walked where it lies, and its tuples are named by their offsets.
 *
 * The npm package `pg-logical-replication` has a parser for them too. It is not on this path: it makes an object for each message and
 * each value (171,000 rows a CPU second), damages values on the way (microseconds, infinity, big integers, array bounds; unchanged
 * TOAST is `undefined`), and its client knows no backpressure. A test holds this file against it.
 *
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 */
import { systemError } from '@tapline/protocol';
import { cString, int32, skipTuple, uint32 } from './tuple.js';

export interface WireColumn {
  readonly name: string;
  /** Part of the replica identity; with identity FULL each is. */
  readonly key: boolean;
  readonly typeOid: number;
  readonly modifier: number;
}

export interface WireRelation {
  readonly oid: number;
  /** '' = pg_catalog. */
  readonly schema: string;
  readonly name: string;
  readonly identity: 'd' | 'n' | 'f' | 'i';
  readonly columns: readonly WireColumn[];
}

/** What an old tuple holds: the key alone (everything else is null in it), or the whole row. */
export type OldKind = 'K' | 'O';

/** `bytes` and the offsets in it are valid during the call only. */
export interface PgoutputHandler {
  /** `commitLsn`: where the commit record begins. */
  begin(commitLsn: bigint, commitTimeMicros: bigint /* since 1970 */, xid: number): void;
  commit(commitLsn: bigint, endLsn: bigint): void;
  relation(relation: WireRelation): void;
  insert(oid: number, bytes: Buffer, tuple: number): void;
  /** `old`: offset of the old tuple, or -1. */
  update(oid: number, bytes: Buffer, old: number, oldKind: OldKind | undefined, tuple: number): void;
  delete(oid: number, bytes: Buffer, old: number, oldKind: OldKind): void;
  truncate(oids: readonly number[]): void;
  message?(prefix: string, lsn: bigint, transactional: boolean): void;
}

const epochMicros = 946_684_800_000_000n; // 2000-01-01, from which PostgreSQL counts
const [KEY, OLD, NEW] = [0x4b, 0x4f, 0x4e];

/** Walks the one message in [start, end). Throws a `system_error` for what no server of ours sends. */
export function readMessage(bytes: Buffer, start: number, end: number, handler: PgoutputHandler): void {
  switch (bytes[start]) {
    case 0x49: // I
      if (bytes[start + 5] !== NEW) throw unknownPart(bytes[start + 5], 'an insert');
      handler.insert(uint32(bytes, start + 1), bytes, start + 6);
      return;
    case 0x55: { // U
      const oid = uint32(bytes, start + 1);
      const kind = bytes[start + 5];
      if (kind === NEW) {
        handler.update(oid, bytes, -1, undefined, start + 6);
        return;
      }
      const old = start + 6;
      const oldKind = oldKindOf(kind);
      const next = skipTuple(bytes, old);
      if (bytes[next] !== NEW) throw unknownPart(bytes[next], 'an update');
      handler.update(oid, bytes, old, oldKind, next + 1);
      return;
    }
    case 0x44: // D
      handler.delete(uint32(bytes, start + 1), bytes, start + 6, oldKindOf(bytes[start + 5]));
      return;
    case 0x42: // B
      handler.begin(bytes.readBigUInt64BE(start + 1), bytes.readBigInt64BE(start + 9) + epochMicros, uint32(bytes, start + 17));
      return;
    case 0x43: // C, a byte of flags
      handler.commit(bytes.readBigUInt64BE(start + 2), bytes.readBigUInt64BE(start + 10));
      return;
    case 0x52: // R
      handler.relation(readRelation(bytes, start + 1));
      return;
    case 0x54: { // T, a byte of options after the count
      const count = int32(bytes, start + 1);
      handler.truncate(Array.from({ length: count }, (_, i) => uint32(bytes, start + 6 + 4 * i)));
      return;
    }
    case 0x4d: // M
      handler.message?.(cString(bytes, start + 10), bytes.readBigUInt64BE(start + 2), (bytes[start + 1]! & 1) === 1);
      return;
    case 0x59: // Y, the name of a type: its oid is enough
    case 0x4f: // O, where a transaction came from
    // A, a transaction that was rolled back: PostgreSQL 18 tells it of one that was too large for its memory, though nothing of it was sent.
    case 0x41:
      return;
    default:
      throw systemError(`the log holds a message of an unknown kind: ${byteName(start < end ? bytes[start] : undefined)}`, { code: 'pg_unknown_message' });
  }
}

function oldKindOf(kind: number | undefined): OldKind {
  if (kind === KEY) return 'K';
  if (kind === OLD) return 'O';
  throw unknownPart(kind, 'an old row');
}

const unknownPart = (byte: number | undefined, where: string): Error =>
  systemError(`the log holds ${where} with an unknown part: ${byteName(byte)}`, { code: 'pg_unknown_message' });

const byteName = (byte: number | undefined): string => (byte === undefined ? 'nothing' : `byte 0x${byte.toString(16).padStart(2, '0')}`);

function readRelation(bytes: Buffer, start: number): WireRelation {
  let at = start + 4;
  const name = (): string => {
    const text = cString(bytes, at);
    at = bytes.indexOf(0, at) + 1;
    return text;
  };
  const relation = { oid: uint32(bytes, start), schema: name(), name: name(), identity: String.fromCharCode(bytes[at]!) as WireRelation['identity'] };
  const count = bytes.readUInt16BE(at + 1);
  at += 3;
  const columns: WireColumn[] = [];
  for (let i = 0; i < count; i++) {
    const key = (bytes[at++]! & 1) === 1;
    columns.push({ name: name(), key, typeOid: uint32(bytes, at), modifier: int32(bytes, at + 4) });
    at += 8;
  }
  return { ...relation, columns };
}
