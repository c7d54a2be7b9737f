/**
 * What changed between two schemas of a stream. Pure. Order of columns does not count; a rename is a removal and an
 * addition (nothing in a schema tells it apart).
 */
import { streamKey } from '@tapline/protocol';
import type { AirbyteStream, CatalogBody } from '@tapline/protocol';
import { columnsOf, type Column } from './forms.js';
import { formatLogicalType, type LogicalType } from './types.js';

export type ColumnChange =
  | { readonly kind: 'added'; readonly column: string; readonly to: LogicalType }
  | { readonly kind: 'removed'; readonly column: string; readonly from: LogicalType }
  /** Every old value is a value of the new type. */
  | { readonly kind: 'widened'; readonly column: string; readonly from: LogicalType; readonly to: LogicalType }
  /** The other way round: old values may not fit any more. */
  | { readonly kind: 'narrowed'; readonly column: string; readonly from: LogicalType; readonly to: LogicalType }
  /** Neither holds the other's values. */
  | { readonly kind: 'changed'; readonly column: string; readonly from: LogicalType; readonly to: LogicalType };

export function diffColumns(before: readonly Column[], after: readonly Column[]): ColumnChange[] {
  const old = new Map(before.map(({ name, type }) => [name, type]));
  const now = new Map(after.map(({ name, type }) => [name, type]));
  const changes: ColumnChange[] = [];
  for (const [column, from] of old) {
    const to = now.get(column);
    if (!to) changes.push({ kind: 'removed', column, from });
    else if (formatLogicalType(from) !== formatLogicalType(to) || isEmbedded(from) !== isEmbedded(to)) {
      changes.push({ kind: isWidening(from, to) ? 'widened' : isWidening(to, from) ? 'narrowed' : 'changed', column, from, to });
    }
  }
  for (const [column, to] of now) if (!old.has(column)) changes.push({ kind: 'added', column, to });
  return changes;
}

export interface StreamDiff {
  readonly columns: readonly ColumnChange[];
  readonly keyChanged: boolean;
}

export function diffStream(before: AirbyteStream, after: AirbyteStream): StreamDiff {
  const key = ({ source_defined_primary_key: paths }: AirbyteStream): string => JSON.stringify(paths ?? []);
  return { columns: diffColumns(columnsOf(before), columnsOf(after)), keyChanged: key(before) !== key(after) };
}

export interface CatalogDiff {
  readonly added: readonly AirbyteStream[];
  readonly removed: readonly AirbyteStream[];
  readonly changed: readonly { readonly stream: AirbyteStream; readonly diff: StreamDiff }[];
}

export function diffCatalogs(before: CatalogBody, after: CatalogBody): CatalogDiff {
  const old = new Map(before.streams.map((stream) => [streamKey(stream), stream]));
  const now = new Map(after.streams.map((stream) => [streamKey(stream), stream]));
  const changed: { stream: AirbyteStream; diff: StreamDiff }[] = [];
  for (const [key, stream] of now) {
    const earlier = old.get(key);
    const diff = earlier && diffStream(earlier, stream);
    if (diff && (diff.keyChanged || diff.columns.length > 0)) changed.push({ stream, diff });
  }
  return {
    added: [...now].filter(([key]) => !old.has(key)).map(([, stream]) => stream),
    removed: [...old].filter(([key]) => !now.has(key)).map(([, stream]) => stream),
    changed,
  };
}

/** True if every value of `from` is, unchanged, a value of `to`, and the types differ. */
export function isWidening(from: LogicalType, to: LogicalType): boolean {
  switch (from.kind) {
    case 'int': {
      const digits = { 16: 5, 32: 10, 64: 19 }[from.bits];
      if (to.kind === 'int') return to.bits > from.bits;
      if (to.kind === 'decimal') return to.precision - to.scale >= digits;
      // The significand of float32 has 24 bits, that of float64 53.
      if (to.kind === 'float') return from.bits < to.bits;
      return to.kind === 'bigdecimal';
    }
    case 'float':
      return to.kind === 'float' && to.bits > from.bits;
    case 'decimal':
      if (to.kind === 'bigdecimal') return true;
      return to.kind === 'decimal' && formatLogicalType(from) !== formatLogicalType(to)
        && to.scale >= from.scale && to.precision - to.scale >= from.precision - from.scale;
    case 'date':
      return to.kind === 'timestamp';
    // These land as text already.
    case 'uuid':
    case 'interval':
      return to.kind === 'text';
    case 'array':
      if (to.kind === 'array') return isWidening(from.of, to.of);
      return to.kind === 'json' && !to.embedded;
    default:
      return false;
  }
}

const isEmbedded = (type: LogicalType): boolean => type.kind === 'json' && type.embedded;
