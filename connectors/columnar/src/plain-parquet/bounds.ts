/** The least and the greatest value of a column, by which readers pass over row groups. */
import { widthOf, type BatchType } from '@tapline/sdk/batch';

export interface Bounds {
  /** As PLAIN has them; texts without their length. */
  readonly least: Uint8Array;
  readonly greatest: Uint8Array;
}

/** Of whole numbers, and of what is stored as one, from `start` to `end`. Undefined for other types, and where there is no value. */
export function boundsOf(bytes: Buffer, { start, end }: { readonly start: number; readonly end: number }, type: BatchType): Bounds | undefined {
  if (type.kind === 'float' || start === end) return undefined;
  const width = widthOf(type);
  if (width !== 4 && width !== 8) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [least, greatest] = width === 4 ? ofInt32(view, start, end) : ofInt64(view, start, end);
  return { least: Buffer.from(bytes.subarray(least, least + width)), greatest: Buffer.from(bytes.subarray(greatest, greatest + width)) };
}

/** Where they are. A loop of its own for each width: no call a value. */
function ofInt32(view: DataView, start: number, end: number): [number, number] {
  let [least, greatest] = [view.getInt32(start, true), view.getInt32(start, true)];
  let [leastAt, greatestAt] = [start, start];
  for (let at = start; at < end; at += 4) {
    const value = view.getInt32(at, true);
    if (value < least) {
      least = value;
      leastAt = at;
    } else if (value > greatest) {
      greatest = value;
      greatestAt = at;
    }
  }
  return [leastAt, greatestAt];
}

/** By halves: what JavaScript has for 64 bits is ten times as slow. */
function ofInt64(view: DataView, start: number, end: number): [number, number] {
  let [leastHigh, leastLow] = [view.getInt32(start + 4, true), view.getUint32(start, true)];
  let [greatestHigh, greatestLow] = [leastHigh, leastLow];
  let [leastAt, greatestAt] = [start, start];
  for (let at = start; at < end; at += 8) {
    const high = view.getInt32(at + 4, true);
    const low = view.getUint32(at, true);
    if (high < leastHigh || (high === leastHigh && low < leastLow)) {
      leastHigh = high;
      leastLow = low;
      leastAt = at;
    } else if (high > greatestHigh || (high === greatestHigh && low > greatestLow)) {
      greatestHigh = high;
      greatestLow = low;
      greatestAt = at;
    }
  }
  return [leastAt, greatestAt];
}

/** Of both. Undefined where one of them is not known. `type`: of their column. */
export function boundsOfBoth(one: Bounds | undefined, other: Bounds | undefined, type: BatchType): Bounds | undefined {
  if (!one || !other) return undefined;
  const isLess = (a: Uint8Array, b: Uint8Array): boolean => (widthOf(type) === 0 ? Buffer.compare(a, b) < 0 : numberOf(a) < numberOf(b));
  return { least: isLess(other.least, one.least) ? other.least : one.least, greatest: isLess(one.greatest, other.greatest) ? other.greatest : one.greatest };
}

function numberOf(value: Uint8Array): bigint {
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  return value.length === 4 ? BigInt(view.getInt32(0, true)) : view.getBigInt64(0, true);
}
