/** Batch files as a source makes them, out of values of JavaScript. */
import { writeFile } from 'node:fs/promises';
import { Column, parquetFile, type BatchType } from '@tapline/sdk/batch';

/** Integers of any size and times as such, everything else as what it is; null where there is none. */
export type BatchValue = bigint | number | boolean | string | Buffer | null;

export function columnOf(type: BatchType, values: readonly BatchValue[]): Column {
  const column = new Column(type);
  for (const [row, value] of values.entries()) {
    column.reserve(1, 16);
    if (value === null) column.setNull(row);
    else put(column, value);
    column.rows++;
  }
  return column;
}

export async function writeBatch(path: string, columns: readonly Column[]): Promise<void> {
  await writeFile(path, Buffer.concat(parquetFile(columns, columns[0]!.rows)));
}

function put(column: Column, value: Exclude<BatchValue, null>): void {
  const { type, view } = column;
  if (typeof value === 'boolean') {
    const bit = column.rows - column.nulls;
    if (bit % 8 === 0) column.bytes[column.used++] = 0;
    if (value) column.bytes[column.used - 1]! |= 1 << (bit % 8);
  } else if (typeof value === 'string' || Buffer.isBuffer(value)) {
    const bytes = Buffer.from(value as string);
    column.reserve(1, bytes.length + 4);
    column.view.setUint32(column.used, bytes.length, true);
    bytes.copy(column.bytes, column.used + 4);
    column.used += 4 + bytes.length;
  } else if (type.kind === 'float') {
    if (type.bits === 32) view.setFloat32(column.used, Number(value), true);
    else view.setFloat64(column.used, Number(value), true);
    column.used += type.bits / 8;
  } else if (type.kind === 'decimal' && type.precision > 18) {
    view.setBigInt64(column.used, BigInt(value) >> 64n);
    view.setBigUint64(column.used + 8, BigInt.asUintN(64, BigInt(value)));
    column.used += 16;
  } else if ((type.kind === 'int' && type.bits < 64) || type.kind === 'date' || (type.kind === 'decimal' && type.precision <= 9)) {
    view.setInt32(column.used, Number(value), true);
    column.used += 4;
  } else {
    view.setBigInt64(column.used, BigInt(value), true);
    column.used += 8;
  }
}
