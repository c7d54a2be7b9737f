/** Reads Thrift's compact protocol: structs as maps of their fields, whatever is in them. */

export type Struct = ReadonlyMap<number, Value>;
/** A number within ±2^53: no size or count of a file is more. */
export type Value = boolean | number | Buffer | readonly Value[] | Struct;

/** Deeper than any footer is. */
const deepest = 16;

/** The struct that begins at `start`, and where it ends. Throws a RangeError where there is none. */
export function readStruct(bytes: Buffer, start: number): { readonly struct: Struct; readonly end: number } {
  let at = start;

  const byte = (): number => {
    if (at >= bytes.length) throw new RangeError('it ends too early');
    return bytes[at++]!;
  };
  const varint = (): number => {
    let [value, factor] = [0, 1];
    for (;;) {
      const next = byte();
      value += (next & 0x7f) * factor;
      if (next < 0x80) return value;
      factor *= 128;
      if (factor > 2 ** 56) throw new RangeError('a number that is too long');
    }
  };
  const zigzag = (): number => {
    const value = varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  };
  const binary = (): Buffer => {
    const length = varint();
    if (length > bytes.length - at) throw new RangeError('it ends too early');
    return bytes.subarray(at, (at += length));
  };
  const list = (depth: number): Value[] => {
    const head = byte();
    const length = head >> 4 === 15 ? varint() : head >> 4;
    if (length > bytes.length - at) throw new RangeError('it ends too early');
    return Array.from({ length }, () => value(head & 15, true, depth));
  };
  const value = (type: number, inList: boolean, depth: number): Value => {
    switch (type) {
      // In a list a truth is a byte of its own.
      case 1: return inList ? byte() === 1 : true;
      case 2: return inList ? byte() === 1 : false;
      case 3: return byte();
      case 4:
      case 5:
      case 6: return zigzag();
      case 7: return (at += 8, 0);
      case 8: return binary();
      case 9:
      case 10: return list(depth);
      case 12: return struct(depth + 1);
      default: throw new RangeError('a type that no file has');
    }
  };
  const struct = (depth: number): Struct => {
    if (depth > deepest) throw new RangeError('it is too deep');
    const fields = new Map<number, Value>();
    for (let id = 0; ; ) {
      const head = byte();
      if (head === 0) return fields;
      id = head >> 4 === 0 ? zigzag() : id + (head >> 4);
      fields.set(id, value(head & 15, false, depth));
    }
  };
  const read = struct(0);
  return { struct: read, end: at };
}
