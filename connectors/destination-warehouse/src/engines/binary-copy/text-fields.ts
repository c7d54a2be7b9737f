/** Values that have a length of their own: in a batch file it comes first, four bytes, the least significant first. */
import { NotAsItIs, sizedValues, type Field, type FieldValues } from './field.js';

/** Up to here a loop is faster than the call. */
const copiedByFours = 32;

/** Copies the next value behind its length. `before`: bytes that come first, a few of them. */
export function text(values: FieldValues, before: readonly number[] = []): Field {
  const { memory } = values;
  const next = sizedValues(values);
  const head = 4 + before.length;
  return (at) => {
    const from = next();
    const length = memory.view.getUint32(from - 4, true);
    memory.reserve(at, head + length);
    const { bytes, view } = memory;
    view.setInt32(at, length + before.length);
    for (let i = 0; i < before.length; i++) bytes[at + 4 + i] = before[i]!;
    const to = at + head;
    if (length > copiedByFours) bytes.copyWithin(to, from, from + length);
    else for (let i = 0; i < length; i += 4) view.setInt32(to + i, view.getInt32(from + i));
    return to + length;
  };
}

/** The version of jsonb's binary form: https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/jsonb.c (jsonb_recv) */
export const jsonb = (values: FieldValues): Field => text(values, [1]);

const uuidLength = 36;
const dashes: ReadonlySet<number> = new Set([8, 13, 18, 23]);
const hexDigits = new Int8Array(256).fill(-1);
for (let i = 0; i < 16; i++) for (const digit of [i.toString(16), i.toString(16).toUpperCase()]) hexDigits[digit.charCodeAt(0)] = i;

/** As PostgreSQL prints them; it reads other spellings, too. */
export function uuid(values: FieldValues): Field {
  const { memory } = values;
  const next = sizedValues(values);
  return (at) => {
    const from = next();
    if (memory.view.getUint32(from - 4, true) !== uuidLength) throw new NotAsItIs();
    const { bytes } = memory;
    memory.view.setInt32(at, 16);
    let to = at + 4;
    for (let i = 0; i < uuidLength; i += 2) {
      if (dashes.has(i)) {
        if (bytes[from + i] !== 0x2d) throw new NotAsItIs();
        i++;
      }
      const [high, low] = [hexDigits[bytes[from + i]!]!, hexDigits[bytes[from + i + 1]!]!];
      if (high < 0 || low < 0) throw new NotAsItIs();
      bytes[to++] = (high << 4) | low;
    }
    return to;
  };
}
