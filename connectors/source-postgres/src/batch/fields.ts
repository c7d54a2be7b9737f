/** The fields of some whole rows, as they came, and how one column of them is taken. */
import type { Column } from '@tapline/sdk/batch';

export interface Fields {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Where each field begins in `bytes`, row by row; -1 = null. Its length stands before it (int32). */
  readonly starts: Int32Array;
  /** Fields a row. */
  readonly stride: number;
  readonly rows: number;
  /**
   * From here on `bytes` may be written to: room for as many bytes as the rows have, and a few more. Within one buffer bytes move without
   * a view being made. -1: there is none.
   */
  readonly scratch: number;
  /** `bytes` are of these rows alone, and stay: a value may be changed in its place, and left where it lies. */
  readonly owned: boolean;
}

/** A value that the column's form has no place for: the cell is null, and `wireText` stands beside it. Called after `setNull(row)`. */
export type Stray = (row: number, wireText: string) => void;

/**
 * Appends field `field` of all rows to the column. A loop of its own for each type, over some hundred rows: what a value costs is what
 * must be done for it, and no call.
 */
export type Decode = (fields: Fields, field: number, column: Column, stray: Stray) => void;
