/** One table at both ends: checksums by range of the key's hash first, and rows of the ranges that differ. */
import { columnsOf, isCdc, isChangeColumn, type Column } from '@tapline/catalog';
import { toConnectorError, type ConfiguredStream, type ConnectorError, type DigestRequest, type RowDigest, type StreamDescriptor } from '@tapline/protocol';
import { compareRows, type Difference } from './verify-rows.js';
import { TableError, type VerifySide } from './verify-side.js';

/** As many keys are named. */
export const namedKeys = 100;
const rowsPerRange = 256;
/** What is held of both ends at once when ranges are narrowed: rows times columns. */
const cellsAtOnce = 600_000;
const rangesAtOnce = 100;
/** Each pass reads both tables once more. */
const mostPasses = 20;

export interface TableResult {
  readonly configured: ConfiguredStream;
  readonly equal: boolean;
  readonly sourceRows: number;
  readonly destinationRows: number;
  readonly differences: readonly Difference[];
  /** There are more than `differences` names. */
  readonly more: boolean;
  /** Names of the columns that {@link Difference} counts; and of the key. */
  readonly columns: readonly Column[];
  readonly key: readonly Column[];
  readonly notes: readonly string[];
  /** It could not be compared. */
  readonly error?: ConnectorError;
}

export interface Sides {
  readonly source: VerifySide;
  readonly destination: VerifySide;
  /** Of the source's log, in digits. */
  readonly position: string | undefined;
}

type Digests = ReadonlyMap<number, { readonly rows: number; readonly checksum: string }>;

interface About {
  readonly stream: StreamDescriptor;
  readonly bits: number;
  readonly before?: string;
}

export async function verifyTable(sides: Sides, configured: ConfiguredStream): Promise<TableResult> {
  const replicated = isCdc(configured);
  const columns = columnsOf(configured.stream).filter(({ name }) => !(replicated && isChangeColumn(name)));
  const names = (configured.primary_key ?? configured.stream.source_defined_primary_key ?? []).map(([name]) => name);
  const key = columns.filter(({ name }) => names.includes(name)).sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
  const nothing: TableResult = { configured, equal: false, sourceRows: 0, destinationRows: 0, differences: [], more: false, columns, key, notes: [] };
  const before = replicated ? sides.position : undefined;
  const stream = { name: configured.stream.name, namespace: configured.stream.namespace };
  const about: About = { stream, bits: bitsOf(configured, key.length > 0), ...(before !== undefined && { before }) };
  try {
    const [source, destination] = await both(digests(sides.source, { ask: 'ranges', ...about }), digests(sides.destination, { ask: 'ranges', ...about }));
    const differing = differingRanges(source.ranges, destination.ranges);
    const sourceRows = rowsOf(source.ranges);
    const destinationRows = rowsOf(destination.ranges);
    const notes = [...destination.notes];
    if (destination.nulled > 0) notes.push(`${destination.nulled} rows hold a null where the destination cannot hold the value; _airbyte_meta names the fields`);
    const result = { ...nothing, sourceRows, destinationRows, notes };
    if (differing.length === 0) return { ...result, equal: true };
    if (key.length === 0) return { ...result, notes: [...notes, 'without a key the rows that differ cannot be named'] };
    const narrowed = await narrow(sides, about, differing, { source: source.ranges, destination: destination.ranges }, columns.length);
    if (narrowed.forgiven > 0) notes.push(`${narrowed.forgiven} rows differ only in values that became null on the way; _airbyte_meta names the fields`);
    return { ...result, equal: narrowed.differences.length === 0 && !narrowed.more, differences: narrowed.differences, more: narrowed.more, notes };
  } catch (error) {
    if (error instanceof TableError) return { ...nothing, error: toConnectorError(error.error) };
    throw error;
  }
}

/** So that a range has some hundred rows. */
function bitsOf({ stream }: ConfiguredStream, hasKey: boolean): number {
  if (!hasKey) return 0;
  const rows = (stream['tapline'] as { row_estimate?: number } | null | undefined)?.row_estimate ?? rowsPerRange * 4096;
  return Math.min(18, Math.max(0, Math.ceil(Math.log2(Math.max(1, rows) / rowsPerRange))));
}

async function digests(side: VerifySide, request: DigestRequest): Promise<{ ranges: Digests; nulled: number; notes: readonly string[] }> {
  const ranges = new Map<number, { rows: number; checksum: string }>();
  const answers = side.table(request);
  for (;;) {
    const { value, done } = await answers.next();
    if (done) return { ranges, nulled: value.nulled ?? 0, notes: value.notes ?? [] };
    if (value.is === 'ranges') for (const [range, rows, checksum] of value.ranges) ranges.set(range, { rows, checksum });
  }
}

async function rowsIn(side: VerifySide, request: DigestRequest): Promise<RowDigest[]> {
  const rows: RowDigest[] = [];
  for await (const answer of side.table(request)) if (answer.is === 'rows') rows.push(...answer.rows);
  return rows;
}

function differingRanges(source: Digests, destination: Digests): number[] {
  const all = new Set([...source.keys(), ...destination.keys()]);
  return [...all].filter((range) => {
    const [a, b] = [source.get(range), destination.get(range)];
    return a?.rows !== b?.rows || a?.checksum !== b?.checksum;
  }).sort((a, b) => a - b);
}

async function narrow(
  { source, destination }: Sides,
  about: About,
  differing: readonly number[],
  digested: { readonly source: Digests; readonly destination: Digests },
  columns: number,
): Promise<{ differences: Difference[]; forgiven: number; more: boolean }> {
  const left = [...differing];
  const differences: Difference[] = [];
  let forgiven = 0;
  for (let pass = 0; left.length > 0 && differences.length < namedKeys && pass < mostPasses; pass++) {
    const ranges: number[] = [];
    for (let cells = 0; left.length > 0 && ranges.length < rangesAtOnce; ) {
      const rows = (digested.source.get(left[0]!)?.rows ?? 0) + (digested.destination.get(left[0]!)?.rows ?? 0);
      cells += rows * (columns + 2);
      if (ranges.length > 0 && cells > cellsAtOnce) break;
      ranges.push(left.shift()!);
    }
    const [ours, theirs] = await both(rowsIn(source, { ask: 'rows', ...about, ranges }), rowsIn(destination, { ask: 'rows', ...about, ranges }));
    // One more than can be named: there are more.
    const compared = compareRows(ours, theirs, namedKeys + 1 - differences.length);
    differences.push(...compared.differences);
    forgiven += compared.forgiven;
  }
  const named = differences.slice(0, namedKeys);
  return { differences: named, forgiven, more: differences.length > named.length || left.length > 0 };
}

/** Both are waited for, so that each end is ready for the next question whatever became of the other. */
async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b]);
  const failures = [first, second].flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
  if (failures.length > 0) throw failures.find((failure) => !(failure instanceof TableError)) ?? failures[0];
  return [(first as PromiseFulfilledResult<A>).value, (second as PromiseFulfilledResult<B>).value];
}

const rowsOf = (digested: Digests): number => [...digested.values()].reduce((sum, { rows }) => sum + rows, 0);
