/** The columns of a table that are ours, and which of them a table has. */
import { extraColumn, unchangedColumn } from '@tapline/columnar';
import type { ColumnType } from '../dialects/dialect.js';
import type { TableColumn, WriteMode } from './shape.js';

const text: ColumnType = { kind: 'text' };
const json: ColumnType = { kind: 'json', embedded: false };
const timestamptz: ColumnType = { kind: 'timestamptz' };

const own = (name: string, type: ColumnType): TableColumn => ({ name, type, field: undefined });

export const orderColumn = '_tapline_order';
/** Of `history`: a version of a key holds from the first to the second, and the last of a living key is the current one. */
export const validFrom = 'valid_from';
export const validTo = 'valid_to';
export const isCurrent = 'is_current';

export const historyColumns: readonly TableColumn[] = [own(validFrom, timestamptz), own(validTo, timestamptz), own(isCurrent, { kind: 'boolean' })];
/** Undeclared fields, as JSON. */
export const extra: TableColumn = own(extraColumn, json);
/** Of tables of open generations: which values are not known yet. */
export const marker: TableColumn = own(unchangedColumn, text);
export const rowColumns: readonly TableColumn[] = [
  own('_airbyte_raw_id', text), own('_airbyte_extracted_at', timestamptz), own('_airbyte_meta', json),
  own('_airbyte_generation_id', { kind: 'int', bits: 64 }), own(orderColumn, text),
];

/** Names that no column of a stream's takes in a table, whether or not it has ours. */
export function ownNames(write: WriteMode): readonly string[] {
  const always = [...rowColumns, extra, marker].map(({ name }) => name);
  return write === 'history' ? [...always, ...historyColumns.map(({ name }) => name)] : always;
}

export interface OwnColumnsOptions {
  readonly write: WriteMode;
  /** It has undeclared fields. */
  readonly extra: boolean;
  /** A table of an open generation. */
  readonly open: boolean;
}

/** In their order, behind the stream's columns. */
export const ownColumns = ({ write, extra: withExtra, open }: OwnColumnsOptions): readonly TableColumn[] => [
  ...(write === 'history' ? historyColumns : []), ...(withExtra ? [extra] : []), ...rowColumns, ...(open && write !== 'append' ? [marker] : []),
];
