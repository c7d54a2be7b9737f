/** Pages of a column: what they are made of. */
import { dataPageHeader, dictionaryPageHeader, encodings, levels, runOf } from '@tapline/sdk/batch';
import type { Bounds } from './bounds.js';

/** A page that is not compressed yet. */
export interface Page {
  readonly kind: 'plain' | 'dictionary' | 'indexes';
  /** Rows; of a dictionary its values. */
  readonly values: number;
  readonly nulls: number;
  /** Levels and values, as the format has them. */
  readonly body: Uint8Array;
  /** Of its values; undefined = not known, or there is none. */
  readonly bounds: Bounds | undefined;
}

export function headerOf({ kind, values, body }: Page, bytes: number): Buffer {
  const size = { uncompressedBytes: body.length, bytes };
  return kind === 'dictionary' ? dictionaryPageHeader({ values, ...size }) : dataPageHeader({ rows: values, encoding: kind === 'plain' ? encodings.plain : encodings.dictionary, ...size });
}

/** Values one after another, as PLAIN has them. */
export const dictionaryPage = (values: readonly Uint8Array[], bounds: Bounds | undefined): Page =>
  ({ kind: 'dictionary', values: values.length, nulls: 0, body: Buffer.concat(values), bounds });

/** So many rows after another that have the same value of a dictionary, up to 65,536 values. */
export function indexPage(runs: readonly { readonly rows: number; readonly index: number }[], dictionarySize: number): Page {
  // A dictionary of one value would do with none: not all readers know that.
  const bits = Math.max(1, Math.ceil(Math.log2(dictionarySize)));
  const rows = runs.reduce((sum, run) => sum + run.rows, 0);
  const body = [levels(rows, true), Buffer.from([bits]), ...runs.map((run) => runOf(run.rows, run.index, Math.ceil(bits / 8)))];
  return { kind: 'indexes', values: rows, nulls: 0, body: Buffer.concat(body), bounds: undefined };
}
