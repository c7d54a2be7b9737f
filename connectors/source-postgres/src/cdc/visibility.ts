/**
 * Which transactions a snapshot of the database sees: what divides a table's rows that were copied from the changes that follow. A
 * position in the log cannot: a transaction is decoded from the moment of its commit record, and visible a little later.
 */

const epoch = 2 ** 32;

export class Snapshot {
  /** As `pg_current_snapshot()` writes it. */
  readonly text: string;
  readonly #xmin: number;
  readonly #xmax: number;
  readonly #running: ReadonlySet<number>;

  private constructor(text: string, xmin: number, xmax: number, running: ReadonlySet<number>) {
    this.text = text;
    this.#xmin = xmin;
    this.#xmax = xmax;
    this.#running = running;
  }

  /** `xmin:xmax:xip,xip`, 64 bits each. Throws a RangeError for anything else. */
  static parse(text: string): Snapshot {
    const match = /^(\d+):(\d+):((?:\d+(?:,\d+)*)?)$/.exec(text);
    if (!match) throw new RangeError('this is no snapshot');
    const running = match[3] === '' ? [] : match[3]!.split(',').map(Number);
    return new Snapshot(text, Number(match[1]), Number(match[2]), new Set(running));
  }

  /** Of a transaction that has committed: are its changes in the snapshot? `xid` is the top level's, 32 bits as the log has it. */
  sees(xid: number): boolean {
    const full = this.#full(xid);
    if (full < this.#xmin) return true;
    return full < this.#xmax && !this.#running.has(full);
  }

  /** The log drops the upper 32 bits. Transactions that are in it together are less than 2^31 apart. */
  #full(xid: number): number {
    const near = this.#xmax - (this.#xmax % epoch) + xid;
    if (near > this.#xmax + epoch / 2) return near - epoch;
    return near < this.#xmax - epoch / 2 ? near + epoch : near;
  }
}
