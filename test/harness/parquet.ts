/**
 * An independent reader of Parquet (hyparquet, not the engine that wrote the file), told to lose nothing: its own
 * conversions go through JavaScript numbers and dates, so the exact types are decoded here from the raw values.
 */
import { parquetMetadata, parquetReadObjects, type FileMetaData, type SchemaElement } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

/** A value as the file holds it: DECIMAL, DATE, TIME and TIMESTAMP as text with all their digits, INT64 as bigint. */
export type Value = null | boolean | number | bigint | string | Buffer;
export type Row = Record<string, Value>;

export interface Table {
  /** Column to type, such as `int64`, `decimal(12,2)`, `timestamptz`, `string`, `bytes`. */
  readonly columns: Record<string, string>;
  readonly rows: Row[];
}

export async function readParquet(bytes: Buffer): Promise<Table> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const metadata = parquetMetadata(file);
  const elements = metadata.schema.slice(1);
  const columns = Object.fromEntries(elements.map((element) => [element.name, typeOf(element)]));
  const raw = await parquetReadObjects({ file, metadata: withoutDecimals(metadata), compressors, utf8: false, parsers });
  const rows = raw.map((row) => Object.fromEntries(elements.map((element) => [element.name, decode(row[element.name], columns[element.name]!)])));
  return { columns, rows };
}

function typeOf(element: SchemaElement): string {
  const logical = element.logical_type;
  if (element.converted_type === 'DECIMAL' || logical?.type === 'DECIMAL') return `decimal(${element.precision},${element.scale ?? 0})`;
  if (logical?.type === 'TIMESTAMP') return logical.isAdjustedToUTC ? 'timestamptz' : 'timestamp';
  if (element.converted_type === 'TIMESTAMP_MICROS') return 'timestamptz';
  if (element.converted_type === 'DATE') return 'date';
  if (element.converted_type?.startsWith('TIME_') || logical?.type === 'TIME') return 'time';
  if (element.converted_type === 'UTF8' || logical?.type === 'STRING') return 'string';
  if (element.converted_type === 'INT_16') return 'int16';
  switch (element.type) {
    case 'BOOLEAN': return 'boolean';
    case 'INT32': return 'int32';
    case 'INT64': return 'int64';
    case 'FLOAT': return 'float32';
    case 'DOUBLE': return 'float64';
    case 'BYTE_ARRAY': return 'bytes';
    default: return String(element.type);
  }
}

/** Its decimals would come as floats: without the annotation they come as the integers they are. */
function withoutDecimals(metadata: FileMetaData): FileMetaData {
  const schema = metadata.schema.map((element) => {
    if (element.converted_type !== 'DECIMAL' && element.logical_type?.type !== 'DECIMAL') return element;
    const { converted_type: _converted, logical_type: _logical, ...plain } = element;
    return plain;
  });
  return { ...metadata, schema };
}

const parsers = {
  timestampFromMicroseconds: (micros: bigint) => timestampText(micros),
  dateFromDays: (days: number) => dateText(BigInt(days)),
};

function decode(value: unknown, type: string): Value {
  if (value === null || value === undefined) return null;
  if (type.startsWith('decimal')) return decimalText(value, Number(/,(\d+)\)/.exec(type)?.[1]));
  if (type === 'time') return timeText(BigInt(value as bigint));
  if (value instanceof Uint8Array) return Buffer.from(value);
  return value as Value;
}

function decimalText(value: unknown, scale: number): string {
  const unscaled = value instanceof Uint8Array ? signed(value) : BigInt(value as number | bigint);
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`;
}

const signed = (bytes: Uint8Array): bigint => BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`));

/** `HH:MM:SS.ffffff`; PostgreSQL knows 24:00:00. */
export function timeText(micros: bigint): string {
  const part = (unit: bigint, size: bigint, width: number) => ((micros / unit) % size).toString().padStart(width, '0');
  return `${part(3_600_000_000n, 100n, 2)}:${part(60_000_000n, 60n, 2)}:${part(1_000_000n, 60n, 2)}.${part(1n, 1_000_000n, 6)}`;
}

/** `YYYY-MM-DD`, any year: JavaScript's own dates end in 275760. */
export function dateText(days: bigint): string {
  // Years of 400 have the same number of days: the date is looked up in a year that JavaScript knows.
  const era = 146_097n;
  const eras = floorDivide(days, era);
  const iso = new Date(Number(days - eras * era) * 86_400_000).toISOString();
  const year = BigInt(iso.slice(0, 4)) + eras * 400n;
  return `${year < 0n ? '-' : ''}${(year < 0n ? -year : year).toString().padStart(4, '0')}${iso.slice(4, 10)}`;
}

/** `YYYY-MM-DDTHH:MM:SS.ffffff`. */
export function timestampText(micros: bigint): string {
  const day = 86_400_000_000n;
  const days = floorDivide(micros, day);
  return `${dateText(days)}T${timeText(micros - days * day)}`;
}

const floorDivide = (a: bigint, b: bigint): bigint => a / b - (a % b < 0n ? 1n : 0n);
