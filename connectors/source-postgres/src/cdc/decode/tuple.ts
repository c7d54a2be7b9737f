/**
 * A tuple of pgoutput: an Int16 count, and a kind a column: `n` null, `u` unchanged TOAST, `t` text (an Int32 length, the bytes), `b` the same
 * of the type's binary form.
 */
import { systemError } from '@tapline/protocol';

export const NULL = 0x6e;
export const UNCHANGED = 0x75;
export const TEXT = 0x74;
export const BINARY = 0x62;

/** What the log's values are asked for as: the server then sends all of them so, but for types that have no binary form. */
export type LogForm = 'text' | 'binary';

export const int32 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
export const uint32 = (bytes: Uint8Array, at: number): number => int32(bytes, at) >>> 0;
export const uint16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

export function cString(bytes: Buffer, at: number): string {
  return bytes.toString('utf8', at, bytes.indexOf(0, at));
}

/** A length and so many bytes follow the kind. */
export const hasBytes = (kind: number | undefined): boolean => kind === TEXT || kind === BINARY;

/** The offset after a column. */
export function skipColumn(bytes: Buffer, at: number): number {
  const kind = bytes[at];
  if (hasBytes(kind)) return at + 5 + int32(bytes, at + 1);
  if (kind === NULL || kind === UNCHANGED) return at + 1;
  throw unknownKind(kind);
}

/** The offset after a tuple. */
export function skipTuple(bytes: Buffer, tuple: number): number {
  let at = tuple + 2;
  for (let left = uint16(bytes, tuple); left > 0; left--) at = skipColumn(bytes, at);
  return at;
}

/** The offset of a column. */
export function columnAt(bytes: Buffer, tuple: number, index: number): number {
  let at = tuple + 2;
  for (let left = index; left > 0; left--) at = skipColumn(bytes, at);
  return at;
}

export const unknownKind = (kind: number | undefined): Error =>
  systemError(`the log holds a value of an unknown kind: byte ${kind === undefined ? 'missing' : `0x${kind.toString(16)}`}`, { code: 'pg_unknown_message' });
