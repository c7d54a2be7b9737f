/** What a digest asks of an engine's SQL. Law: protocol/SPEC.md, "Digests". */
import type { PlannedColumn } from '@tapline/columnar';
import type { Holds } from '@tapline/protocol';
import type { TableColumn } from '../tables/shape.js';

/** A column of the stream, and where its values stand in the table. */
export interface DigestedColumn {
  readonly planned: PlannedColumn;
  /** The column that takes them now, then those of earlier types; empty = nowhere. */
  readonly held: readonly TableColumn[];
}

/** SQL over one row of a table, whose columns go by their names. */
export interface RowSql {
  /** 32 hexadecimal digits of the key's hash. */
  readonly key: string;
  /** 64 bits of the row's, signed or not. */
  readonly row: string;
  /** 8 characters a column. */
  readonly columns: string;
  /** The key's values, a JSON array of texts. */
  readonly values: string;
  /** Some value became null because it cannot be held. */
  readonly nulled: string;
  /** Its place in the order of the source. */
  readonly order: string;
}

export interface DigestSql {
  /** What its tables can hold. */
  readonly holds: Holds;
  rowOf(columns: readonly DigestedColumn[], key: readonly DigestedColumn[]): RowSql;
  /** The highest `bits` (1 to 24) of a key's hash in hexadecimal. */
  range(key: string, bits: number): string;
  /** A sum of hashes, each so often, as text. */
  checksum(hash: string, copies: string): string;
}
