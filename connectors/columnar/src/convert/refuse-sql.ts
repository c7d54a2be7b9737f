/** Values that a column of the file holds, and the destination does not: they go the way of those that no column holds. */
import type { LogicalType } from '@tapline/catalog';
import type { ColumnPlan } from './column-plan.js';

/**
 * A condition in DuckDB's SQL under which the destination cannot hold a value of the type; undefined = it holds them all. `value` is an
 * expression of `duckdbType(type)`, and may be null. Where the condition is true the value becomes null, with an entry
 * DESTINATION_TYPECAST_ERROR in `_airbyte_meta.changes`. Asked for each column of a file, and as JSON for `_tapline_extra` and `_airbyte_meta`.
 */
export type Refuse = (type: LogicalType, value: string) => string | undefined;

/** SQL conditions on `v0`, `v1` …, on the text `x` of `_tapline_extra`, and on what a source says that it changed. */
export interface Refusals {
  readonly columns: readonly (string | undefined)[];
  readonly extra: string | undefined;
  changes(text: string): string | undefined;
}

const json: LogicalType = { kind: 'json', embedded: false };

export const refusalsOf = ({ columns }: ColumnPlan, refuse: Refuse = () => undefined): Refusals => ({
  columns: columns.map(({ type }, i) => refuse(type, `v${i}`)),
  extra: refuse(json, 'x'),
  changes: (text) => refuse(json, text),
});
