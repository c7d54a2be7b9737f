/**
 * How a column of each type travels in a batch: natively, decoded out of what the server sends of its own, or as the text that a line
 * has. What is not named here is text by the same SQL as in a line.
 */
import type { BatchType } from '@tapline/sdk/batch';
import { oids, textForm, type ColumnType } from '../types.js';
import { boolean, date, eightBytes, fourBytes, int16, time, timestamp, timestamptz } from './decode-fixed.js';
import { decimal, numeric } from './decode-numeric.js';
import { bytes, jsonb, uuid } from './decode-text.js';
import type { Decode } from './fields.js';

export interface BatchForm {
  readonly type: BatchType;
  readonly decode: Decode;
  /** What the server is asked for; `column` is a qualified reference. */
  sql(column: string): string;
}

const text: BatchType = { kind: 'text' };
const asItIs = (column: string): string => column;
const native = (type: BatchType, decode: Decode): BatchForm => ({ type, decode, sql: asItIs });

const forms = new Map<number, BatchForm>([
  [oids.bool, native({ kind: 'boolean' }, boolean)],
  [oids.int2, native({ kind: 'int', bits: 16 }, int16)],
  [oids.int4, native({ kind: 'int', bits: 32 }, fourBytes)],
  [oids.int8, native({ kind: 'int', bits: 64 }, eightBytes)],
  [oids.float4, native({ kind: 'float', bits: 32 }, fourBytes)],
  [oids.float8, native({ kind: 'float', bits: 64 }, eightBytes)],
  [oids.date, native({ kind: 'date' }, date)],
  [oids.time, native({ kind: 'time' }, time)],
  [oids.timestamp, native({ kind: 'timestamp' }, timestamp)],
  [oids.timestamptz, native({ kind: 'timestamptz' }, timestamptz)],
  [oids.bytea, native({ kind: 'bytes' }, bytes)],
  [oids.text, native(text, bytes)],
  [oids.varchar, native(text, bytes)],
  // With the blanks that it is filled up with, as row_to_json has it.
  [oids.bpchar, native(text, bytes)],
  [oids.json, native(text, bytes)],
  [oids.jsonb, native(text, jsonb)],
  [oids.uuid, native(text, uuid)],
]);

/** Of a type whose binary form is known here. The log is asked for it, too (cdc/columns/forms.ts). Undefined: of others the text is asked for. */
export function binaryForm(type: ColumnType): BatchForm | undefined {
  const { logical } = type;
  if (logical.kind === 'decimal') return native({ kind: 'decimal', precision: logical.precision, scale: logical.scale }, decimal(logical.precision, logical.scale));
  if (logical.kind === 'bigdecimal') return native(text, numeric);
  return forms.get(type.oid) ?? (type.sendsText ? native(text, bytes) : undefined);
}

export const batchForm = (type: ColumnType): BatchForm => binaryForm(type) ?? { type: text, decode: bytes, sql: (column) => textForm(type, column) };
