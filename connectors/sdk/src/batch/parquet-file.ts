/**
 * Columns as a Parquet file: PLAIN, uncompressed, one row group, one page (v1) a column, no statistics. It lives for moments, between two
 * processes of a sync, so what counts is that nothing is done twice: the values lie in the columns' buffers as the file has them, and the
 * parts of the file are views of those. The libraries that write Parquet or Arrow take JavaScript values, or whole arrays that they copy
 * and encode; of the format this needs so little that a page header and a footer by hand are less than what would call them.
 * https://parquet.apache.org/docs/file-format/
 */
import type { Column } from './column.js';
import { CompactWriter } from './compact-writer.js';
import { codecs, encodings, fieldIds as ids, magic, physicalType } from './parquet-format.js';
import { bitLevels, dataPageHeader } from './page.js';
import { writeSchemaElement } from './schema-element.js';

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
  const { rows, nulls, values, validity } = column;
  const body = nulls > 0 ? [...bitLevels(validity), values] : [values];
  const size = body.reduce((sum, part) => sum + part.length, 0);
  return [dataPageHeader({ rows, encoding: encodings.plain, uncompressedBytes: size, bytes: size }), ...body];
}

function footerOf(chunks: readonly Chunk[], rows: number): Buffer {
  const footer = new CompactWriter();
  footer.i32(ids.file.version, 1);
  footer.structList(ids.file.schema, [undefined, ...chunks], (chunk) => {
    if (chunk) writeSchemaElement(footer, { name: chunk.name, type: chunk.column.type, optional: chunk.column.nulls > 0 });
    else {
      footer.text(ids.element.name, 'schema');
      footer.i32(ids.element.children, chunks.length);
    }
  });
  footer.i64(ids.file.rows, rows);
  footer.structList(ids.file.rowGroups, [chunks], () => {
    footer.structList(ids.rowGroup.columns, chunks, (chunk) => {
      footer.i64(ids.chunk.offset, chunk.offset);
      footer.struct(ids.chunk.metadata, () => {
        footer.i32(ids.column.type, physicalType(chunk.column.type));
        footer.i32List(ids.column.encodings, [encodings.plain, encodings.rle]);
        footer.textList(ids.column.path, [chunk.name]);
        footer.i32(ids.column.codec, codecs.uncompressed);
        footer.i64(ids.column.values, rows);
        footer.i64(ids.column.uncompressedBytes, chunk.bytes);
        footer.i64(ids.column.compressedBytes, chunk.bytes);
        footer.i64(ids.column.dataPage, chunk.offset);
      });
    });
    footer.i64(ids.rowGroup.bytes, chunks.reduce((sum, { bytes }) => sum + bytes, 0));
    footer.i64(ids.rowGroup.rows, rows);
  });
  footer.text(ids.file.createdBy, 'tapline');
  footer.stop();
  return footer.bytes;
}
