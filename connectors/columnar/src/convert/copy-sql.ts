/** The one statement that turns what was spooled into Parquet. */
import { partitionKeys, type Partition } from './row-sql.js';
import { sqlString } from './value-sql.js';

export interface CopyRequest {
  /** The rows. */
  readonly select: string;
  /** A file, or a folder where `partition` is given. */
  readonly output: string;
  readonly partition: Partition | undefined;
  readonly rowsPerGroup: number;
  readonly compression: Compression;
  /** Files are read once, whole, and deleted. */
  readonly readOnce: boolean;
}

export type Compression = 'zstd' | 'snappy' | 'gzip' | 'none';

/** Its result is one row with the `Count`; where `partition` is given one for each file, with `filename` and `count` (which costs a small file dearly). */
export function copySql({ select, output, partition, rowsPerGroup, ...coding }: CopyRequest): string {
  const by = partition ? `, RETURN_STATS, PARTITION_BY (${partition.hour ? `${partitionKeys.date}, ${partitionKeys.hour}` : partitionKeys.date})` : '';
  return `COPY (${select}) TO ${sqlString(output)} (FORMAT parquet, ${codingSql(coding)}, ROW_GROUP_SIZE ${rowsPerGroup}${by})`;
}

/** What makes a file small, or quick to search, is work for writer and reader: in vain where it is read once. */
function codingSql({ compression, readOnce }: Pick<CopyRequest, 'compression' | 'readOnce'>): string {
  if (readOnce) return 'COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 0, WRITE_BLOOM_FILTER false';
  // The engine's own level, 3, takes half as long again, and files of rows are seldom smaller for it.
  if (compression === 'zstd') return 'COMPRESSION zstd, COMPRESSION_LEVEL 1';
  return `COMPRESSION ${compression === 'none' ? 'uncompressed' : compression}`;
}
