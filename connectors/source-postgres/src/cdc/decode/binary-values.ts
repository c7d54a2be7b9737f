/**
 * Values that the log has in their binary form, where they are to be text: in lines, and as keys of what is selected again. Few rows go so
 * while the log is in binary (columns are read as they are), so that it is made for no speed but that of long texts and bytes.
 */
import { dateText, timestampText } from '../../batch/calendar-text.js';
import { numericText } from '../../batch/decode-numeric.js';
import { binaryForm } from '../../batch/forms.js';
import { oids, type ColumnType } from '../../types.js';
import { float32Text, float64Text } from './float-text.js';
import { Form, formOf, writeValue } from './forms.js';
import { writeString } from './json-text.js';
import type { LineBuffer } from './line-buffer.js';

export interface BinaryValue {
  /** What the type's input function reads. */
  text(bytes: Buffer, start: number, end: number): string;
  /** Its JSON, as of the text that the server would have sent. */
  write(out: LineBuffer, bytes: Buffer, start: number, end: number): void;
}

type TextOf = BinaryValue['text'];

/** Of the types that {@link binaryForm} knows. */
export function binaryValue(type: ColumnType): BinaryValue | undefined {
  if (!binaryForm(type)) return undefined;
  const text = texts.get(type.oid);
  if (text) return printed(type, text);
  return type.oid === oids.bytea ? bytea : type.oid === oids.jsonb ? textFrom(1) : textFrom(0);
}

const hex = (bytes: Buffer, start: number, end: number): string => bytes.toString('hex', start, end);

const texts = new Map<number, TextOf>([
  [oids.bool, (bytes, start) => (bytes[start] === 1 ? 't' : 'f')],
  [oids.int2, (bytes, start) => String(bytes.readInt16BE(start))],
  [oids.int4, (bytes, start) => String(bytes.readInt32BE(start))],
  [oids.int8, (bytes, start) => String(bytes.readBigInt64BE(start))],
  [oids.float4, (bytes, start) => float32Text(bytes.readFloatBE(start))],
  [oids.float8, (bytes, start) => float64Text(bytes.readDoubleBE(start))],
  [oids.numeric, (bytes, start) => numericText(new DataView(bytes.buffer, bytes.byteOffset), start)],
  [oids.date, (bytes, start) => dateText(bytes.readInt32BE(start))],
  [oids.time, (bytes, start) => timeText(bytes.readBigInt64BE(start))],
  [oids.timestamp, (bytes, start) => timestampText(bytes.readBigInt64BE(start), '')],
  [oids.timestamptz, (bytes, start) => timestampText(bytes.readBigInt64BE(start), '+00:00')],
  [oids.uuid, (bytes, start, end) => hex(bytes, start, end).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')],
]);

const timeText = (micros: bigint): string => (micros === 86_400_000_000n ? '24:00:00' : timestampText(micros, '').slice('2000-01-01T'.length));

/** Times have the form of a line already. */
function printed(type: ColumnType, text: TextOf): BinaryValue {
  const textual = formOf(type);
  const form = textual === Form.timestamp ? Form.plain : textual;
  return {
    text,
    write(out, bytes, start, end) {
      const value = Buffer.from(text(bytes, start, end), 'latin1');
      writeValue(out, form, value, 0, value.length, undefined);
    },
  };
}

/** Text, and JSON, behind `skip` bytes that tell of the form. */
const textFrom = (skip: number): BinaryValue => ({
  text: (bytes, start, end) => bytes.toString('utf8', start + skip, end),
  write: (out, bytes, start, end) => writeString(out, bytes, start + skip, end),
});

/** Of a multiple of three bytes each piece is whole. */
const piece = 3 << 14;

const bytea: BinaryValue = {
  text: (bytes, start, end) => `\\x${hex(bytes, start, end)}`,
  write(out, bytes, start, end) {
    out.reserve(Math.ceil((end - start) / 3) * 4 + 2);
    const { bytes: target } = out;
    target[out.at++] = 0x22;
    for (let from = start; from < end; from += piece) out.at += target.write(bytes.toString('base64', from, Math.min(from + piece, end)), out.at, 'latin1');
    target[out.at++] = 0x22;
  },
};
