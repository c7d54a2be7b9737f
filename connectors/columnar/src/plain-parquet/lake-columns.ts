/** The columns of a lake's file, as rows that are plain have them: the same as `rowSql` makes. */
import { duckdbType, type LogicalType } from '@tapline/catalog';
import type { BatchType } from '@tapline/sdk/batch';
import type { ColumnPlan } from '../convert/column-plan.js';
import type { PlainRows } from '../convert/plain-rows.js';
import type { LakeColumn } from './row-values.js';

export function lakeColumns({ columns }: ColumnPlan, plain: PlainRows): LakeColumn[] {
  const everyFile = (value: Buffer): Buffer[] => plain.files.map(() => value);
  return [
    ...columns.map(({ name, type }): LakeColumn => {
      const source = plain.columns.get(name);
      return { name, type: storedType(type), value: source ? { kind: 'field', index: source.index } : { kind: 'null' } };
    }),
    { name: '_airbyte_raw_id', type: { kind: 'text' }, value: { kind: 'raw_id' } },
    { name: '_airbyte_extracted_at', type: { kind: 'timestamptz' }, value: { kind: 'constant', values: plain.files.map(({ emittedAt }) => int64(emittedAt * 1000)) } },
    { name: '_airbyte_meta', type: { kind: 'text' }, value: { kind: 'constant', values: everyFile(text(plain.meta)) } },
    { name: '_airbyte_generation_id', type: { kind: 'int', bits: 64 }, value: { kind: 'constant', values: everyFile(int64(plain.generation)) } },
    { name: '_tapline_order', type: { kind: 'text' }, value: { kind: 'order' } },
  ];
}

/** What has no form of its own is stored as text. */
const storedType = (type: LogicalType): BatchType => (duckdbType(type) === 'VARCHAR' ? { kind: 'text' } : (type as BatchType));

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.alloc(4 + Buffer.byteLength(value));
  bytes.writeUInt32LE(bytes.length - 4);
  bytes.write(value, 4);
  return bytes;
}
