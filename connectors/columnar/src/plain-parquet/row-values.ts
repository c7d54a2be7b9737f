/** The values of one batch file's rows, a column each: as they lie in it, and what each row has besides. */
import { plainValues, type BatchType, type PlainForm, type PlainValues } from '@tapline/sdk/batch';
import type { PlainRows } from '../convert/plain-rows.js';
import { boundsOf, type Bounds } from './bounds.js';
import type { StoredColumn } from './footer.js';
import type { Memory } from './memory.js';
import { countedTexts, prefixedTexts } from './order-values.js';
import { areInRange, areWhole, nullsOf } from './whole-values.js';

/** One of the columns of the lake's files. */
export interface LakeColumn extends StoredColumn {
  /** Which of the batch files' columns; `null`: no row has a value; `constant`: the same in all rows of a file. */
  readonly value: { readonly kind: 'field'; readonly index: number } | { readonly kind: 'null' | 'order' | 'raw_id' } | Constant;
}

export interface Constant {
  readonly kind: 'constant';
  /** In the files, in their order, as PLAIN has it. */
  readonly values: readonly Buffer[];
}

/** Values of one column, as PLAIN has them, one after another. */
export interface RowValues {
  readonly rows: number;
  readonly nulls: number;
  /** A bit a row, set where it has a value; undefined = all have one, or none has. */
  readonly validity: Uint8Array | undefined;
  /** They lie in it from `start` on, to its end. What is before them is of no more use. It is used for others once the file is done with. */
  readonly bytes: Buffer;
  /** It is of the memory, not of the file. */
  readonly isTaken: boolean;
  readonly start: number;
  /** Where their levels begin, if they lie right before them. */
  readonly body: number | undefined;
  readonly bounds: Bounds | undefined;
}

export interface FileRows {
  /** The whole file. */
  readonly bytes: Buffer;
  readonly form: PlainForm;
  readonly plain: PlainRows;
  /** Number of its first row. */
  readonly firstRow: number;
  /** Of which values are made that do not lie in the file. */
  readonly memory: Memory;
}

/** For each column but the constant ones. Undefined where the file is not what it seems. */
export function rowValues(columns: readonly LakeColumn[], { bytes, form, plain, firstRow, memory }: FileRows): (RowValues | undefined)[] | undefined {
  const { rows } = form;

  const field = (type: BatchType, index: number): RowValues | undefined => {
    const found = plainValues(bytes, form.columns[index]!, rows);
    if (!found) return undefined;
    const nulls = nullsOf(found, rows);
    if (!areWhole(bytes, found, type, rows - nulls)) return undefined;
    const bounds = boundsOf(bytes, found, type);
    if (bounds && !areInRange(bounds, type)) return undefined;
    const { start, end, validity } = found;
    return { rows, nulls, validity, bytes: bytes.subarray(0, end), isTaken: false, start, body: validity && found.body, bounds };
  };

  const given = plain.order === undefined ? undefined : givenOrder(bytes, form, plain.order);
  if (plain.order !== undefined && !given) return undefined;
  const texts = (prefix: string): RowValues => {
    const made = given ? prefixedTexts(memory, bytes.subarray(given.start, given.end), prefix, rows, room) : countedTexts(memory, prefix + plain.orderPrefix, firstRow, rows, room);
    return { rows, nulls: 0, validity: undefined, bytes: made, isTaken: true, start: room, body: undefined, bounds: given ? undefined : countedBounds(prefix + plain.orderPrefix, firstRow, rows) };
  };

  const all: (RowValues | undefined)[] = [];
  for (const { type, value } of columns) {
    let values: RowValues | undefined;
    if (value.kind === 'field') values = field(type, value.index);
    else if (value.kind === 'order') values = texts('');
    else if (value.kind === 'raw_id') values = texts(plain.rawIdPrefix);
    else if (value.kind === 'null') values = { rows, nulls: rows, validity: undefined, bytes: nothing, isTaken: false, start: 0, body: undefined, bounds: undefined };
    if (!values && value.kind !== 'constant') return undefined;
    all.push(values);
  }
  return all;
}

/** Ahead of values that are made here: levels go there without a copy of the values. */
const room = 16;
const nothing = Buffer.alloc(0);

/** The orders that lie in the file; every row has one. */
function givenOrder(bytes: Buffer, form: PlainForm, index: number): PlainValues | undefined {
  const values = plainValues(bytes, form.columns[index]!, form.rows);
  return values && nullsOf(values, form.rows) === 0 && areWhole(bytes, values, { kind: 'text' }, form.rows) ? values : undefined;
}

function countedBounds(prefix: string, first: number, rows: number): Bounds {
  const text = (number: number): Buffer => Buffer.from(prefix + number.toString(16).padStart(16, '0'));
  return { least: text(first), greatest: text(first + rows - 1) };
}
