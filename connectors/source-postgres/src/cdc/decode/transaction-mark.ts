/** What all rows of a transaction end with, rendered once. */
import { halvesOf, type Halves } from '../../halves.js';
import { hexPairs } from '../../hex-pairs.js';

export interface MarkHalves {
  readonly lsn: Halves;
  /** Microseconds since 1970. */
  readonly time: Halves;
  /** The first 16 digits of `_tapline_order`, four in each. */
  readonly order: Int32Array;
}

function digitsOf({ high, low }: Halves): Int32Array {
  const digits = new Int32Array(4);
  for (let i = 0; i < 4; i++) {
    const part = i < 2 ? high : low;
    const shift = i % 2 === 0 ? 16 : 0;
    digits[i] = (hexPairs[(part >>> (shift + 8)) & 255]! << 16) | hexPairs[(part >>> shift) & 255]!;
  }
  return digits;
}

/** From the comma or not before `"_ab_cdc_lsn"` up to the sequence number, and what comes after that. */
export class TransactionMark {
  readonly #commitLsn: bigint;
  readonly #commitTimeMicros: bigint;
  readonly withOrder: boolean;
  #alive: Buffer | undefined;
  #deleted: Buffer | undefined;
  #halves: MarkHalves | undefined;

  /** `withOrder`: rows carry `_tapline_order`, whose last 16 digits are written row by row. */
  constructor(commitLsn: bigint, commitTimeMicros: bigint, withOrder: boolean) {
    this.#commitLsn = commitLsn;
    this.#commitTimeMicros = commitTimeMicros;
    this.withOrder = withOrder;
  }

  get alive(): Buffer {
    return (this.#alive ??= this.#render('null'));
  }

  get deleted(): Buffer {
    return (this.#deleted ??= this.#render(`"${isoMicros(this.#commitTimeMicros)}"`));
  }

  /** The same for the columns of a batch. */
  get halves(): MarkHalves {
    if (!this.#halves) {
      const lsn = halvesOf(this.#commitLsn);
      this.#halves = { lsn, time: halvesOf(this.#commitTimeMicros), order: digitsOf(lsn) };
    }
    return this.#halves;
  }

  #render(deletedAt: string): Buffer {
    const lsn = this.#commitLsn;
    const order = this.withOrder ? `,"_tapline_order":"${lsn.toString(16).padStart(16, '0')}` : '';
    return Buffer.from(`${changeColumns(lsn, isoMicros(this.#commitTimeMicros), deletedAt)}${order}`, 'latin1');
  }
}

/** `"_ab_cdc_lsn":…` and its like, of a change; a snapshot's rows carry them too. `deletedAt`: JSON. */
export function changeColumns(lsn: bigint, time: string, deletedAt: string): string {
  const position = lsn <= Number.MAX_SAFE_INTEGER ? Number(lsn) : `"${lsn.toString()}"`;
  return `"_ab_cdc_lsn":${position},"_ab_cdc_updated_at":"${time}","_ab_cdc_deleted_at":${deletedAt}`;
}

let lastSecond = Number.NaN;
let lastText = '';

/** `2026-11-20T07:00:00.123456+00:00` */
export function isoMicros(micros: bigint): string {
  // Exact until the year 2255; a transaction's time is told in numbers, which cost less.
  const all = Number(micros);
  const second = Math.floor(all / 1_000_000);
  const rest = all - second * 1_000_000;
  if (second !== lastSecond) {
    lastText = new Date(second * 1000).toISOString().slice(0, -5);
    lastSecond = second;
  }
  return `${lastText}.${String(rest).padStart(6, '0')}+00:00`;
}
