/** What the rows of a copy carry behind their columns: like a change that was committed just before the copy began. */
import { changeColumns, isoMicros } from './decode/transaction-mark.js';
import type { AddedValues } from '../batch/added-columns.js';
import type { Lsn } from './lsn.js';

export interface SnapshotTail {
  /** The same as columns of a batch, but for those that are null. */
  readonly added: readonly AddedValues[];
  /** Members behind the columns of each row. */
  readonly tail: string;
  /** `_tapline_order`: 16 digits that all rows have, and the number that the first one has. */
  readonly order: { readonly prefix: string; readonly start: bigint } | undefined;
}

/** More rows than a range of pages can hold. */
const rangeBits = 40n;

/** `base`: the place of all rows in the order; `now`: milliseconds since 1970. */
export function snapshotTail({ base, now, withOrder }: { readonly base: Lsn; readonly now: number; readonly withOrder: boolean }): (range: number) => SnapshotTail {
  const micros = BigInt(now) * 1000n;
  const tail = changeColumns(base, isoMicros(micros), 'null');
  const prefix = base.toString(16).padStart(16, '0');
  const columns: readonly AddedValues[] = [
    { name: '_ab_cdc_lsn', type: { kind: 'int', bits: 64 }, value: base },
    { name: '_ab_cdc_updated_at', type: { kind: 'timestamptz' }, value: micros },
  ];
  return (range) => {
    const order = withOrder ? { prefix, start: (BigInt(range) << rangeBits) + 1n } : undefined;
    return { tail, order, added: order ? [...columns, { name: '_tapline_order', ...order }] : columns };
  };
}
