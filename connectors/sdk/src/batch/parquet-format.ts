/** What of the format our files use. https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift */
import { widthOf, type BatchType } from './column.js';

export const magic = Buffer.from('PAR1');
export const physical = { boolean: 0, int32: 1, int64: 2, float: 4, double: 5, byteArray: 6, fixed: 7 } as const;
export const repetition = { required: 0, optional: 1 } as const;
export const encodings = { plain: 0, rle: 3, dictionary: 8 } as const;
export const codecs = { uncompressed: 0, zstd: 6 } as const;
export const pageTypes = { data: 0, dictionary: 2 } as const;
/** The converted types of the format's first version, which every reader knows. */
export const converted = { utf8: 0, decimal: 5, date: 6, timeMicros: 8, timestampMicros: 10, int16: 16 } as const;

/** Numbers of the fields, by struct. */
export const fieldIds = {
  file: { version: 1, schema: 2, rows: 3, rowGroups: 4, createdBy: 6, columnOrders: 7 },
  element: { type: 1, length: 2, repetition: 3, name: 4, children: 5, converted: 6, scale: 7, precision: 8, logical: 10 },
  logical: { time: 7, timestamp: 8 },
  rowGroup: { columns: 1, bytes: 2, rows: 3 },
  chunk: { file: 1, offset: 2, metadata: 3 },
  column: { type: 1, encodings: 2, path: 3, codec: 4, values: 5, uncompressedBytes: 6, compressedBytes: 7, dataPage: 9, dictionaryPage: 11, statistics: 12 },
  page: { type: 1, uncompressedBytes: 2, bytes: 3, data: 5, dictionary: 7 },
  statistics: { nulls: 3, max: 5, min: 6 },
} as const;

export function physicalType(type: BatchType): number {
  switch (type.kind) {
    case 'boolean': return physical.boolean;
    case 'float': return type.bits === 64 ? physical.double : physical.float;
    case 'bytes':
    case 'text': return physical.byteArray;
    default: return { 0: physical.byteArray, 4: physical.int32, 8: physical.int64, 16: physical.fixed }[widthOf(type)];
  }
}
