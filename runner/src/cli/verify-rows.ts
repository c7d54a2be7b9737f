/** Which keys differ, and how: rows of both ends, side by side. Pure. */
import { nulledText, type RowDigest } from '@tapline/protocol';

export type DifferenceKind = 'missing' | 'extra' | 'doubled' | 'changed';

export interface Difference {
  /** The values of the key's columns, as text. */
  readonly values: readonly (string | null)[];
  readonly kind: DifferenceKind;
  /** Of `changed`: indexes of the columns; empty where they cannot be told. */
  readonly columns: readonly number[];
}

export interface Compared {
  readonly differences: Difference[];
  /** Rows that are equal but for values that the destination could not hold, and says so. */
  readonly forgiven: number;
}

interface Pair {
  readonly source: RowDigest[];
  readonly destination: RowDigest[];
}

/** At most `limit` differences, in no order. */
export function compareRows(source: readonly RowDigest[], destination: readonly RowDigest[], limit: number): Compared {
  const pairs = new Map<string, Pair>();
  const pairOf = (key: string): Pair => {
    const known = pairs.get(key);
    if (known) return known;
    const pair: Pair = { source: [], destination: [] };
    pairs.set(key, pair);
    return pair;
  };
  for (const row of source) pairOf(row.key).source.push(row);
  for (const row of destination) pairOf(row.key).destination.push(row);
  const differences: Difference[] = [];
  let forgiven = 0;
  for (const pair of pairs.values()) {
    const found = compare(pair);
    if (found === 'forgiven') forgiven++;
    else if (found !== 'equal' && differences.length < limit) differences.push(found);
  }
  return { differences, forgiven };
}

function compare({ source, destination }: Pair): Difference | 'equal' | 'forgiven' {
  const values = (source[0] ?? destination[0])!.values;
  const [ours, theirs] = [copiesOf(source), copiesOf(destination)];
  if (theirs === 0) return { values, kind: 'missing', columns: [] };
  if (ours === 0) return { values, kind: 'extra', columns: [] };
  if (sameContents(source, destination)) {
    if (ours === theirs) return 'equal';
    return { values, kind: theirs > ours ? 'doubled' : 'missing', columns: [] };
  }
  if (theirs > ours) return { values, kind: 'doubled', columns: [] };
  const columns = differingColumns(source[0]!.columns, destination[0]!.columns);
  const single = source.length === 1 && destination.length === 1 && ours === theirs;
  return single && columns.length === 0 && destination[0]!.columns.includes(nulledText) ? 'forgiven' : { values, kind: 'changed', columns };
}

const copiesOf = (rows: readonly RowDigest[]): number => rows.reduce((sum, { copies }) => sum + copies, 0);

function sameContents(source: readonly RowDigest[], destination: readonly RowDigest[]): boolean {
  const hashes = new Set(source.map(({ hash }) => hash));
  return destination.every(({ hash }) => hashes.delete(hash)) && hashes.size === 0;
}

const width = nulledText.length;

/** A null of the destination that stands for what it could not hold differs from nothing. */
function differingColumns(source: string, destination: string): number[] {
  const columns: number[] = [];
  for (let at = 0, index = 0; at < source.length; at += width, index++) {
    const theirs = destination.slice(at, at + width);
    if (theirs !== nulledText && theirs !== source.slice(at, at + width)) columns.push(index);
  }
  return columns;
}
