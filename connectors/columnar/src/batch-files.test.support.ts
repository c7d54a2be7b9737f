/** Batch files as a source makes them. */
import { readFile, writeFile } from 'node:fs/promises';
import { Column, parquetFile } from '@tapline/sdk/batch';
import type { BatchFile } from './convert/batch-forms.js';

/** Text, or null. */
export function texts(values: readonly (string | null)[]): Column {
  return filled({ kind: 'text' }, values, (column, value) => {
    const bytes = Buffer.from(value);
    column.reserve(1, bytes.length + 4);
    column.view.setUint32(column.used, bytes.length, true);
    column.bytes.set(bytes, column.used + 4);
    column.used += bytes.length + 4;
  });
}

/** Native 64-bit integers. */
export function integers(values: readonly (number | null)[]): Column {
  return filled({ kind: 'int', bits: 64 }, values, (column, value) => {
    column.reserve(1, 8);
    column.view.setBigInt64(column.used, BigInt(value), true);
    column.used += 8;
  });
}

function filled<Value>(type: Column['type'], values: readonly (Value | null)[], add: (column: Column, value: Value) => void): Column {
  const column = new Column(type);
  for (const [row, value] of values.entries()) {
    column.reserve(1, 0);
    if (value === null) column.setNull(row);
    else add(column, value);
    column.rows++;
  }
  return column;
}

export async function writeBatch(path: string, columns: readonly Column[], emittedAt = 1700000000123): Promise<BatchFile> {
  const rows = columns[0]!.rows;
  await writeFile(path, Buffer.concat(parquetFile(columns, rows)));
  return await announced(path, rows, emittedAt);
}

/** A file that is there. */
export async function announced(path: string, rows: number, emittedAt = 1700000000123): Promise<BatchFile> {
  return { path, name: path.replace(/.*\//, ''), rows, bytes: (await readFile(path)).length, emittedAt };
}
