/**
 * Columns as a Parquet file: PLAIN, uncompressed, one row group, one page (v1) a column, no statistics. It lives for moments, between two
 * processes of a sync, so what counts is that nothing is done twice: the values lie in the columns' buffers as the file has them, and the
 * parts of the file are views of those. The libraries that write Parquet or Arrow take JavaScript values, or whole arrays that they copy
 * and encode; of the format this needs so little that a page header and a footer by hand are less than what would call them.
 * https://parquet.apache.org/docs/file-format/
 */
import { widthOf, type BatchType, type Column } from './column.js';
import { CompactWriter } from './compact-thrift.js';

const magic = Buffer.from('PAR1');
const physical = { boolean: 0, int32: 1, int64: 2, float: 4, double: 5, byteArray: 6, fixed: 7 } as const;
const required = 0;
const optional = 1;
const plain = 0;
const rle = 3;
const uncompressed = 0;
/** The converted types of the format's first version, which every reader knows. */
const converted = { utf8: 0, decimal: 5, date: 6, timeMicros: 8, timestampMicros: 10, int16: 16 } as const;

interface Chunk {
  readonly name: string;
  readonly column: Column;
  /** Where its page begins. */
  readonly offset: number;
  readonly bytes: number;
}

/**
 * The parts of a file of `rows` >= 1 rows that every column has. They are views: valid until a column is written to again. Columns are
 * told by their position; within the file they are called `c0`, `c1`, and so on, whatever the fields are called. A column without nulls is
 * REQUIRED. Throws a RangeError where there is no column, which readers of Parquet do not know.
 */
export function parquetFile(columns: readonly Column[], rows: number): Uint8Array[] {
  if (columns.length === 0) throw new RangeError('a Parquet file has at least one column');
  const parts: Uint8Array[] = [magic];
  let offset = magic.length;
  const chunks = columns.map((column, i): Chunk => {
    if (column.rows !== rows) throw new RangeError(`a column of ${column.rows} rows in a batch of ${rows}`);
    const page = pageOf(column);
    parts.push(...page);
    const bytes = page.reduce((sum, part) => sum + part.length, 0);
    const chunk = { name: `c${i}`, column, offset, bytes };
    offset += bytes;
    return chunk;
  });
  const footer = footerOf(chunks, rows);
  const end = Buffer.alloc(4);
  end.writeUInt32LE(footer.length);
  parts.push(footer, end, magic);
  return parts;
}

function pageOf(column: Column): Uint8Array[] {
  const { rows, nulls, values } = column;
  const body = nulls > 0 ? [...definitionLevels(column), values] : [values];
  const size = body.reduce((sum, part) => sum + part.length, 0);
  const header = new CompactWriter();
  header.i32(1, 0); // a data page
  header.i32(2, size);
  header.i32(3, size);
  header.struct(5, () => {
    header.i32(1, rows);
    header.i32(2, plain);
    header.i32(3, rle);
    header.i32(4, rle);
  });
  header.stop();
  return [header.bytes, ...body];
}

/** One run of bits, eight rows a byte: as the validity has them. */
function definitionLevels({ validity }: Column): Uint8Array[] {
  const head = Buffer.alloc(9);
  let at = 4;
  let run = validity.length * 2 + 1;
  for (; run > 0x7f; run = Math.floor(run / 128)) head[at++] = (run % 128) | 0x80;
  head[at++] = run;
  head.writeUInt32LE(at - 4 + validity.length);
  return [head.subarray(0, at), validity];
}

function footerOf(chunks: readonly Chunk[], rows: number): Buffer {
  const footer = new CompactWriter();
  footer.i32(1, 1);
  footer.structList(2, [undefined, ...chunks], (chunk) => {
    if (chunk) schemaElement(footer, chunk);
    else {
      footer.text(4, 'schema');
      footer.i32(5, chunks.length);
    }
  });
  footer.i64(3, rows);
  footer.structList(4, [chunks], () => {
    footer.structList(1, chunks, (chunk) => {
      footer.i64(2, chunk.offset);
      footer.struct(3, () => {
        footer.i32(1, physicalType(chunk.column.type));
        footer.i32List(2, [plain, rle]);
        footer.textList(3, [chunk.name]);
        footer.i32(4, uncompressed);
        footer.i64(5, rows);
        footer.i64(6, chunk.bytes);
        footer.i64(7, chunk.bytes);
        footer.i64(9, chunk.offset);
      });
    });
    footer.i64(2, chunks.reduce((sum, { bytes }) => sum + bytes, 0));
    footer.i64(3, rows);
  });
  footer.text(6, 'tapline');
  footer.stop();
  return footer.bytes;
}

function schemaElement(footer: CompactWriter, { name, column: { type, nulls } }: Chunk): void {
  footer.i32(1, physicalType(type));
  if (type.kind === 'decimal' && widthOf(type) === 16) footer.i32(2, 16);
  footer.i32(3, nulls > 0 ? optional : required);
  footer.text(4, name);
  const convertedAs = convertedType(type);
  if (convertedAs !== undefined) footer.i32(6, convertedAs);
  if (type.kind === 'decimal') {
    footer.i32(7, type.scale);
    footer.i32(8, type.precision);
  }
  // Only the newer annotation tells local times from those in UTC.
  if (type.kind === 'time') footer.struct(10, () => footer.struct(7, () => inMicros(footer, false)));
  if (type.kind === 'timestamp') footer.struct(10, () => footer.struct(8, () => inMicros(footer, false)));
  if (type.kind === 'timestamptz') footer.struct(10, () => footer.struct(8, () => inMicros(footer, true)));
}

function inMicros(footer: CompactWriter, utc: boolean): void {
  footer.boolean(1, utc);
  footer.struct(2, () => footer.struct(2, () => {}));
}

function physicalType(type: BatchType): number {
  switch (type.kind) {
    case 'boolean': return physical.boolean;
    case 'float': return type.bits === 64 ? physical.double : physical.float;
    case 'bytes':
    case 'text': return physical.byteArray;
    default: return { 0: physical.byteArray, 4: physical.int32, 8: physical.int64, 16: physical.fixed }[widthOf(type)];
  }
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
