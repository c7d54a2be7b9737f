/** What all rows of a transaction end with, rendered once. */

/** From the comma or not before `"_ab_cdc_lsn"` up to the sequence number, and what comes after that. */
export class TransactionMark {
  readonly #commitLsn: bigint;
  readonly #time: string;
  readonly withOrder: boolean;
  #alive: Buffer | undefined;
  #deleted: Buffer | undefined;

  /** `withOrder`: rows carry `_tapline_order`, whose last 16 digits are written row by row. */
  constructor(commitLsn: bigint, commitTimeMicros: bigint, withOrder: boolean) {
    this.#commitLsn = commitLsn;
    this.#time = isoMicros(commitTimeMicros);
    this.withOrder = withOrder;
  }

  get alive(): Buffer {
    return (this.#alive ??= this.#render('null'));
  }

  get deleted(): Buffer {
    return (this.#deleted ??= this.#render(`"${this.#time}"`));
  }

  #render(deletedAt: string): Buffer {
    const lsn = this.#commitLsn;
    const order = this.withOrder ? `,"_tapline_order":"${lsn.toString(16).padStart(16, '0')}` : '';
    return Buffer.from(`${changeColumns(lsn, this.#time, deletedAt)}${order}`, 'latin1');
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
