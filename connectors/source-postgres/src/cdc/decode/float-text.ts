/**
 * Floats as the server prints them: the fewest digits that are read as the same number, without an exponent from 0.0001 on to below 10^15, or
 * of a float4 10^6. Digits halfway between two numbers, which are read as the even one, the server avoids; here a float8 may have them.
 * https://github.com/postgres/postgres/blob/master/src/common/d2s.c
 */

export const float64Text = (value: number): string => shortest(value, value.toExponential(), 15);

/** `value`: that a float4 can hold. */
export function float32Text(value: number): string {
  let digits = 0;
  let text = value.toExponential(digits);
  while (Number.isFinite(value) && (Math.fround(Number(text)) !== value || liesHalfway(Number(text)))) text = value.toExponential(++digits);
  return shortest(value, evenly(value, text, digits), 6);
}

/** Of two texts that are equally near the server takes the one whose last digit is even, JavaScript the one that is farther from 0. */
function evenly(value: number, text: string, digits: number): string {
  const next = Number.isFinite(value) ? value.toExponential(digits + 1) : '';
  const isHalf = next.includes('5e') && Number(next) === value;
  return isHalf ? text.replace(/[13579]e/, (odd) => `${Number(odd[0]) - 1}e`) : text;
}

const asDouble = new DataView(new ArrayBuffer(8));
/** Of a double the bits that a float4 lacks, and how they are halfway between two of those. */
const lowerBits = 0x1fff_ffff;
const halfway = 0x1000_0000;

/** Between two float4. */
export function liesHalfway(value: number): boolean {
  asDouble.setFloat64(0, value);
  return (asDouble.getUint32(4) & lowerBits) === halfway;
}

/** `exponential`: its digits as JavaScript writes them, `-1.5e-7`. */
function shortest(value: number, exponential: string, exponentFrom: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [, sign, first, rest = '', power] = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(exponential)!;
  const exponent = Number(power);
  const digits = `${first}${rest}`;
  if (exponent < -4 || exponent >= exponentFrom) {
    return `${sign}${first}${rest && '.'}${rest}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  const fraction = digits.slice(exponent + 1);
  return `${sign}${whole}${fraction && '.'}${fraction}`;
}
