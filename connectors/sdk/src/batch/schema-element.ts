/** What a Parquet footer says of a column's type. */
import { widthOf, type BatchType } from './column.js';
import type { CompactWriter } from './compact-writer.js';
import { converted, fieldIds as ids, physicalType, repetition } from './parquet-format.js';

export interface SchemaElement {
  readonly name: string;
  readonly type: BatchType;
  /** A row may have no value. */
  readonly optional: boolean;
}

/** A column in a footer's schema. */
export function writeSchemaElement(footer: CompactWriter, { name, type, optional }: SchemaElement): void {
  footer.i32(ids.element.type, physicalType(type));
  if (type.kind === 'decimal' && widthOf(type) === 16) footer.i32(ids.element.length, 16);
  footer.i32(ids.element.repetition, optional ? repetition.optional : repetition.required);
  footer.text(ids.element.name, name);
  const convertedAs = convertedType(type);
  if (convertedAs !== undefined) footer.i32(ids.element.converted, convertedAs);
  if (type.kind === 'decimal') {
    footer.i32(ids.element.scale, type.scale);
    footer.i32(ids.element.precision, type.precision);
  }
  // Only the newer annotation tells local times from those in UTC.
  if (type.kind === 'time') footer.struct(ids.element.logical, () => footer.struct(ids.logical.time, () => inMicros(footer, false)));
  if (type.kind === 'timestamp') footer.struct(ids.element.logical, () => footer.struct(ids.logical.timestamp, () => inMicros(footer, false)));
  if (type.kind === 'timestamptz') footer.struct(ids.element.logical, () => footer.struct(ids.logical.timestamp, () => inMicros(footer, true)));
}

function inMicros(footer: CompactWriter, utc: boolean): void {
  footer.boolean(1, utc);
  footer.struct(2, () => footer.struct(2, () => {}));
}

function convertedType(type: BatchType): number | undefined {
  switch (type.kind) {
    case 'int': return type.bits === 16 ? converted.int16 : undefined;
    case 'decimal': return converted.decimal;
    case 'date': return converted.date;
    // These say "in UTC", so they stand only where that is so.
    case 'timestamptz': return converted.timestampMicros;
    case 'text': return converted.utf8;
    default: return undefined;
  }
}
