/** The values of one column of a batch, as they will lie in the file. */

/** What a column's values are. Named as the logical types of a catalog are, so that one of those that are native is one of these. */
export type BatchType =
  | { readonly kind: 'boolean' }
  | { readonly kind: 'int'; readonly bits: 16 | 32 | 64 }
  | { readonly kind: 'float'; readonly bits: 32 | 64 }
  /** At most 38 digits. */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  /** Days since 1970-01-01. */
  | { readonly kind: 'date' }
  /** Microseconds since midnight. */
  | { readonly kind: 'time' }
  /** Microseconds since 1970-01-01; `timestamptz`: in UTC. */
  | { readonly kind: 'timestamp' }
  | { readonly kind: 'timestamptz' }
  | { readonly kind: 'bytes' }
  | { readonly kind: 'text' };

/** Bytes that each value takes; 0 = as many as it has, behind their number; a bit of a boolean counts as none. */
export function widthOf(type: BatchType): 0 | 4 | 8 | 16 {
  switch (type.kind) {
    case 'int': return type.bits === 64 ? 8 : 4;
    case 'float': return type.bits === 64 ? 8 : 4;
    case 'decimal': return type.precision <= 9 ? 4 : type.precision <= 18 ? 8 : 16;
    case 'date': return 4;
    case 'time':
    case 'timestamp':
    case 'timestamptz': return 8;
    default: return 0;
  }
}

const smallest = 4096;

/**
 * A buffer that grows, and is used for batch after batch. Whoever fills it writes into `bytes` (or `view`) from `used` on, and counts up
 * `used` and `rows` himself: there is no call a value. Everything is little-endian, but decimals of 16 bytes, which are big-endian.
 * A value of `bytes` or `text` is its length (uint32) and its bytes; a boolean is a bit, the n-th value (not row) in bit n % 8 of byte n / 8.
 */
export class Column {
  readonly type: BatchType;
  bytes: Buffer = Buffer.allocUnsafeSlow(smallest);
  view: DataView = viewOf(this.bytes);
  used = 0;
  rows = 0;
  nulls = 0;
  /** A bit a row, all set: {@link setNull} clears it. So a value that is there costs nothing. */
  #valid: Buffer = Buffer.alloc(smallest / 8, 0xff);

  /** `bytes` are a part of somebody else's, whom they keep alive. */
  #isAdopted = false;

  constructor(type: BatchType) {
    this.type = type;
  }

  /** Makes room for that many rows and bytes more. May move `bytes` and `view`. */
  reserve(rows: number, bytes: number): void {
    if (this.used + bytes > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * this.used + bytes);
      this.bytes.copy(larger, 0, 0, this.used);
      this.#take(larger);
    }
    if (this.rows + rows > 8 * this.#valid.length) {
      const larger = Buffer.alloc((2 * this.rows + rows + 7) >> 3, 0xff);
      this.#valid.copy(larger);
      this.#valid = larger;
    }
  }

  /** Of a row for which there is room. Nothing is stored for it. */
  setNull(row: number): void {
    this.#valid[row >> 3]! &= ~(1 << (row & 7));
    this.nulls++;
  }

  /** A bit a row, the n-th in bit n % 8 of byte n / 8. */
  get validity(): Uint8Array {
    return this.#valid.subarray(0, (this.rows + 7) >> 3);
  }

  /** The values of the rows that are not null, one after another. */
  get values(): Uint8Array {
    return this.bytes.subarray(0, this.used);
  }

  /** Takes all values of an empty column as they are, without a copy: for one that is large. */
  adopt(values: Buffer): void {
    this.#take(values);
    this.used = values.length;
    this.#isAdopted = true;
  }

  /** Empty again. Memory that one large value took goes; what batches of this kind need stays. */
  reset(): void {
    if (this.bytes.length > Math.max(smallest, 4 * this.used)) this.#take(Buffer.allocUnsafeSlow(Math.max(smallest, 2 * this.used)));
    if (this.bytes.length > mostKept || this.#isAdopted) this.#take(Buffer.allocUnsafeSlow(smallest));
    if (this.nulls > 0) this.#valid.fill(0xff, 0, (this.rows + 7) >> 3);
    this.used = 0;
    this.rows = 0;
    this.nulls = 0;
  }

  #take(bytes: Buffer): void {
    this.#isAdopted = false;
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }
}

/** Beyond what a column of an ordinary batch grows to. */
const mostKept = 64 << 20;

const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
