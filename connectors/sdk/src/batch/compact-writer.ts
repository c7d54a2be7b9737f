/** Thrift's compact protocol, as far as the header of a Parquet page and a Parquet footer need it. */

/** Types of the compact protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md */
const types = { true: 1, false: 2, i32: 5, i64: 6, binary: 8, list: 9, struct: 12 } as const;
type Type = (typeof types)[keyof typeof types];

/** Fields are written in rising order of their ids, as the format wants them. */
export class CompactWriter {
  #bytes = Buffer.allocUnsafe(256);
  #at = 0;
  #lastId = 0;

  /** What was written so far. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  boolean(id: number, value: boolean): void {
    this.#field(id, value ? types.true : types.false);
  }

  i32(id: number, value: number): void {
    this.#field(id, types.i32);
    this.#zigzag(value);
  }

  /** Within ±2^53. */
  i64(id: number, value: number): void {
    this.#field(id, types.i64);
    this.#zigzag(value);
  }

  text(id: number, value: string): void {
    this.#field(id, types.binary);
    this.#text(value);
  }

  binary(id: number, value: Uint8Array): void {
    this.#field(id, types.binary);
    this.#varint(value.length);
    this.#room(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  struct(id: number, write: () => void): void {
    this.#field(id, types.struct);
    this.#struct(write);
  }

  i32List(id: number, values: readonly number[]): void {
    this.#list(id, types.i32, values, (value) => this.#zigzag(value));
  }

  textList(id: number, values: readonly string[]): void {
    this.#list(id, types.binary, values, (value) => this.#text(value));
  }

  structList<Item>(id: number, items: readonly Item[], write: (item: Item) => void): void {
    this.#list(id, types.struct, items, (item) => this.#struct(() => write(item)));
  }

  /** Ends the outermost struct. */
  stop(): void {
    this.#byte(0);
  }

  #list<Item>(id: number, type: Type, items: readonly Item[], write: (item: Item) => void): void {
    this.#field(id, types.list);
    if (items.length < 15) this.#byte((items.length << 4) | type);
    else {
      this.#byte(0xf0 | type);
      this.#varint(items.length);
    }
    for (const item of items) write(item);
  }

  #struct(write: () => void): void {
    const outer = this.#lastId;
    this.#lastId = 0;
    write();
    this.#byte(0);
    this.#lastId = outer;
  }

  /** No id of Parquet's is more than 15 behind the one before it. */
  #field(id: number, type: Type): void {
    this.#byte(((id - this.#lastId) << 4) | type);
    this.#lastId = id;
  }

  #text(value: string): void {
    const length = Buffer.byteLength(value);
    this.#varint(length);
    this.#room(length);
    this.#at += this.#bytes.write(value, this.#at);
  }

  #zigzag(value: number): void {
    this.#varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  /** In arithmetic, not by bits: sizes and counts of 64 bits go through here. */
  #varint(value: number): void {
    while (value > 0x7f) {
      this.#byte((value % 128) | 0x80);
      value = Math.floor(value / 128);
    }
    this.#byte(value);
  }

  #byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = value;
  }

  #room(length: number): void {
    if (this.#at + length <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#at + length));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}
