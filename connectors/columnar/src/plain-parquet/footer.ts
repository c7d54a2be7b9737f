/** The end of the file: its schema, its row groups, and where their columns lie. */
import { CompactWriter, codecs, encodings, fieldIds as ids, physicalType, writeSchemaElement, type BatchType } from '@tapline/sdk/batch';
import type { Bounds } from './bounds.js';

export interface StoredColumn {
  readonly name: string;
  readonly type: BatchType;
}

/** One column of one row group. */
export interface Chunk {
  readonly column: StoredColumn;
  /** Where its first page begins. */
  readonly offset: number;
  /** Its first page is a dictionary of so many bytes, with its header; 0 = it has none. */
  readonly dictionaryBytes: number;
  /** With the headers of its pages. */
  readonly bytes: number;
  readonly uncompressedBytes: number;
  readonly nulls: number;
  readonly bounds: Bounds | undefined;
}

export interface RowGroup {
  readonly rows: number;
  readonly chunks: readonly Chunk[];
}

/** Every column may be null: all files of a stream are alike, whichever rows they have. */
export function footerOf(columns: readonly StoredColumn[], groups: readonly RowGroup[]): Buffer {
  const footer = new CompactWriter();
  footer.i32(ids.file.version, 1);
  footer.structList(ids.file.schema, [undefined, ...columns], (column) => {
    if (column) writeSchemaElement(footer, { ...column, optional: true });
    else {
      footer.text(ids.element.name, 'schema');
      footer.i32(ids.element.children, columns.length);
    }
  });
  footer.i64(ids.file.rows, groups.reduce((sum, { rows }) => sum + rows, 0));
  footer.structList(ids.file.rowGroups, groups, ({ rows, chunks }) => {
    footer.structList(ids.rowGroup.columns, chunks, (chunk) => writeChunk(footer, chunk, rows));
    footer.i64(ids.rowGroup.bytes, chunks.reduce((sum, { uncompressedBytes }) => sum + uncompressedBytes, 0));
    footer.i64(ids.rowGroup.rows, rows);
  });
  // Readers look for a version in it: https://github.com/apache/parquet-format (created_by)
  footer.text(ids.file.createdBy, 'tapline version 1.0.0');
  // Bounds are told in the order of the type: without a word of it readers must not trust them.
  footer.structList(ids.file.columnOrders, columns, () => footer.struct(1, () => {}));
  footer.stop();
  return footer.bytes;
}

function writeChunk(footer: CompactWriter, { column: { name, type }, offset, dictionaryBytes, bytes, uncompressedBytes, nulls, bounds }: Chunk, rows: number): void {
  footer.i64(ids.chunk.offset, offset);
  footer.struct(ids.chunk.metadata, () => {
    footer.i32(ids.column.type, physicalType(type));
    footer.i32List(ids.column.encodings, dictionaryBytes > 0 ? [encodings.plain, encodings.rle, encodings.dictionary] : [encodings.plain, encodings.rle]);
    footer.textList(ids.column.path, [name]);
    footer.i32(ids.column.codec, codecs.zstd);
    footer.i64(ids.column.values, rows);
    footer.i64(ids.column.uncompressedBytes, uncompressedBytes);
    footer.i64(ids.column.compressedBytes, bytes);
    footer.i64(ids.column.dataPage, offset + dictionaryBytes);
    if (dictionaryBytes > 0) footer.i64(ids.column.dictionaryPage, offset);
    footer.struct(ids.column.statistics, () => {
      footer.i64(ids.statistics.nulls, nulls);
      if (!bounds) return;
      footer.binary(ids.statistics.max, bounds.greatest);
      footer.binary(ids.statistics.min, bounds.least);
    });
  });
}
