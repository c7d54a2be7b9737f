/** What the engine may take. A value is granted room for the vector of 2,048 that it lies in: very wide rows take thousands of times their width. */
import { sqlString } from '@tapline/columnar';
import { stat } from 'node:fs/promises';
import type { Row } from '../warehouse.js';

const rowsOfVector = 2048;
/** Rows below it fit into what there is anyway. */
const wideRow = 32_000;
/** Reader and writer each hold a vector. */
const copies = 2;

export class MemoryGrant {
  /** So far. It does not fall: what was written once is read by every later checkpoint of the table. */
  bytes: number;
  readonly #base: number;
  readonly #most: number;

  constructor(base: number, most: number) {
    this.bytes = this.#base = base;
    this.#most = Math.max(base, Math.floor(most));
  }

  /** Looks at the Parquet files that a query names, which are not packed. True if more is granted now. */
  async widen(select: string, query: (sql: string) => Promise<readonly Row[]>): Promise<boolean> {
    if (this.bytes >= this.#most) return false;
    const before = this.bytes;
    const sizes = new Map<string, number>();
    for (const path of parquetFiles(select)) {
      const size = await stat(path).then(({ size: bytes }) => bytes, () => 0);
      if (size >= wideRow) sizes.set(path, size);
    }
    if (sizes.size === 0) return false;
    const files = await query(`SELECT file_name AS path, num_rows AS n FROM parquet_file_metadata([${[...sizes.keys()].map(sqlString).join(', ')}])`).catch(() => []);
    for (const { path, n } of files) {
      const width = sizes.get(String(path))! / Math.max(Number(n), 1);
      if (width >= wideRow) this.bytes = Math.max(this.bytes, Math.floor(Math.min(this.#base + copies * rowsOfVector * width, this.#most)));
    }
    return this.bytes > before;
  }
}

const parquetFiles = (select: string): string[] => [...select.matchAll(/'((?:[^']|'')+\.parquet)'/g)].map(([, path]) => path!.replaceAll("''", "'"));
