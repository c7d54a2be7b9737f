/** 64 bits as two numbers: an integer of that size would be an object. */
export interface Halves {
  /** The upper 32 bits, with the sign. */
  readonly high: number;
  /** The lower 32 bits, without one. */
  readonly low: number;
}

const twoTo32 = 4_294_967_296;

export function halvesOf(value: bigint): Halves {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) return { high: Number(value >> 32n), low: Number(value & 0xffff_ffffn) };
  const high = Math.floor(number / twoTo32);
  return { high, low: number - high * twoTo32 };
}
