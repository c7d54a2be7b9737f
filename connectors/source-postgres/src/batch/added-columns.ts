/** Columns that the server does not send: one value for every row, or a number of its own for each. */
import { Column, type BatchType } from '@tapline/sdk/batch';

/** What an added column holds. */
export type AddedValues =
  /** An integer of 64 bits, or a time as one. */
  | { readonly name: string; readonly type: Extract<BatchType, { kind: 'int' | 'timestamptz' }>; readonly value: bigint }
  /** `prefix`, of 16 characters, and 16 hex digits that count from `start`. */
  | { readonly name: string; readonly prefix: string; readonly start: bigint };

export interface AddedColumn {
  readonly name: string;
  readonly column: Column;
  /** Appends that many rows. */
  readonly fill: (rows: number) => void;
}

export const addedColumn = (values: AddedValues): AddedColumn => ('value' in values ? constant(values) : order(values));

function constant({ name, type, value }: Extract<AddedValues, { value: bigint }>): AddedColumn {
  const column = new Column(type);
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return { name, column, fill: (rows) => repeat(column, bytes, rows) };
}

const twoTo32 = 4_294_967_296;
const digits = 8;

function order({ name, prefix, start }: Extract<AddedValues, { prefix: string }>): AddedColumn {
  const column = new Column({ kind: 'text' });
  const template = Buffer.alloc(4 + 32);
  template.writeUInt32LE(32);
  template.write(prefix, 4, 'latin1');
  let high = Number(start / BigInt(twoTo32));
  let low = Number(start % BigInt(twoTo32));
  return {
    name, column,
    fill(rows) {
      for (let left = rows; left > 0; ) {
        // As far as only the lower digits change.
        const some = Math.min(left, twoTo32 - low);
        template.write(high.toString(16).padStart(digits, '0'), 20, 'latin1');
        let end = column.used;
        repeat(column, template, some);
        for (let i = 0; i < some; i++) {
          end += template.length;
          let rest = low + i;
          for (let at = end - 1; at >= end - digits; at--) {
            const digit = rest & 15;
            column.bytes[at] = digit < 10 ? 0x30 + digit : 0x57 + digit;
            rest = Math.floor(rest / 16);
          }
        }
        left -= some;
        low += some;
        if (low === twoTo32) {
          low = 0;
          high++;
        }
      }
    },
  };
}

function repeat(column: Column, value: Buffer, rows: number): void {
  const bytes = rows * value.length;
  column.reserve(rows, bytes);
  column.bytes.fill(value, column.used, column.used + bytes);
  column.used += bytes;
  column.rows += rows;
}
