/** A position in the write-ahead log: a bigint here, `X/Y` in states and messages. https://www.postgresql.org/docs/current/datatype-pg-lsn.html */

export type Lsn = bigint;

/** Throws a RangeError for anything else than `X/Y`. */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (!match) throw new RangeError(`'${text}' is no position in a log`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

export const formatLsn = (lsn: Lsn): string => `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`;

export const laterLsn = (a: Lsn, b: Lsn): Lsn => (a > b ? a : b);
