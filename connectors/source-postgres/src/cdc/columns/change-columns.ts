/**
 * Changes of one version of a table as the columns of a batch, without an object for a row or a value. A row's fields are found where they
 * lie in the message, and taken column by column once a read's worth of them has come.
 */
import { parquetFile } from '@tapline/sdk/batch';
import type { StreamDescriptor } from '@tapline/protocol';
import { BINARY, hasBytes, int32, NULL, TEXT, uint16, UNCHANGED, unknownKind, type LogForm } from '../decode/tuple.js';
import type { OldKind } from '../decode/messages.js';
import type { TransactionMark } from '../decode/transaction-mark.js';
import type { TupleEncoder } from '../decode/tuple-encoder.js';
import { ChangeBuffers } from './change-buffers.js';
import { changeForm, type ChangeForm } from './forms.js';

/** What a file holds. Valid until it is released. */
export interface ChangeBatch {
  readonly stream: StreamDescriptor;
  readonly rows: number;
  readonly columns: readonly string[];
  readonly parts: readonly Uint8Array[];
  /** The buffers may be written to again. */
  release(): void;
}

/** A message from here on is a line: beside it in columns there would be two copies of it. */
const largeMessage = 1 << 20;
/** Fields that wait to be taken. */
const mostFields = 16_384;

export class ChangeColumns {
  readonly stream: StreamDescriptor;
  readonly #encoder: TupleEncoder;
  readonly #forms: readonly ChangeForm[];
  readonly #names: readonly string[];
  /** Of the values that the forms read. */
  readonly #kind: number;
  /** By place in the wire tuple: the column, or -1. */
  readonly #columnOf: Int32Array;
  #starts: Int32Array | undefined;
  #bytes: Buffer | undefined;
  #waiting = 0;
  /** A row said that something is unchanged: from then on each batch has the column for it, so that all of them are alike. */
  #tellsUnchanged = false;
  #filling: ChangeBuffers | undefined;
  #spare: ChangeBuffers | undefined;

  /** Undefined: a column of the table can only be written by the server. */
  static of(encoder: TupleEncoder, log: LogForm): ChangeColumns | undefined {
    const { columns } = encoder.options;
    const forms = columns.flatMap(({ type }) => changeForm(type, log) ?? []);
    return forms.length === columns.length && forms.length > 0 ? new ChangeColumns(encoder, forms, log === 'binary' ? BINARY : TEXT) : undefined;
  }

  private constructor(encoder: TupleEncoder, forms: readonly ChangeForm[], kind: number) {
    const { stream, columns, relation } = encoder.options;
    this.stream = stream;
    this.#encoder = encoder;
    this.#forms = forms;
    this.#kind = kind;
    this.#names = columns.map(({ property }) => property);
    this.#columnOf = new Int32Array(Math.max(relation.columns.length, ...columns.map(({ index }) => index + 1))).fill(-1);
    columns.forEach(({ index }, i) => (this.#columnOf[index] = i));
  }

  /** Rows that are in no batch yet. */
  get rows(): number {
    return this.#filling?.rows ?? 0;
  }

  /** Bytes of the rows whose fields were taken. */
  get size(): number {
    return this.#filling?.size ?? 0;
  }

  /** A row that is there now, as {@link TupleEncoder.upsert} has it. False: it has to be a line, since a value is to be fetched first, or it is large. */
  upsert(bytes: Buffer, tuple: number, old: number, mark: TransactionMark, sequence: number): boolean {
    const columnOf = this.#columnOf;
    const base = this.#room(bytes);
    const starts = this.#starts!;
    const count = Math.min(uint16(bytes, tuple), columnOf.length);
    let unchanged = '';
    let at = tuple + 2;
    for (let i = 0; i < count; i++) {
      const kind = bytes[at];
      const column = columnOf[i]!;
      if (hasBytes(kind)) {
        if (column >= 0) starts[base + column] = this.#valueAt(bytes, at);
        at += 5 + int32(bytes, at + 1);
      } else if (kind === NULL) {
        at++;
      } else if (kind === UNCHANGED) {
        at++;
        if (column < 0) continue;
        const before = this.#encoder.oldColumn(i, bytes, old);
        if (before !== -1) {
          if (bytes[before] !== NULL) starts[base + column] = this.#valueAt(bytes, before);
        } else if (this.#encoder.keepsUnchanged(i, bytes, old, tuple)) unchanged += `${unchanged === '' ? '' : ','}${JSON.stringify(this.#names[column])}`;
        else return false;
      } else throw unknownKind(kind);
    }
    if (at - tuple >= largeMessage) return false;
    this.#add(mark, sequence, false, unchanged);
    return true;
  }

  /** A row that is gone, as {@link TupleEncoder.delete} has it. False: it has to be a line, since it is large. */
  delete(bytes: Buffer, tuple: number, oldKind: OldKind, mark: TransactionMark, sequence: number): boolean {
    const { columns } = this.#encoder.options;
    const columnOf = this.#columnOf;
    const base = this.#room(bytes);
    const count = Math.min(uint16(bytes, tuple), columnOf.length);
    let at = tuple + 2;
    for (let i = 0; i < count; i++) {
      const kind = bytes[at];
      const column = columnOf[i]!;
      const wanted = column >= 0 && (oldKind === 'O' || columns[column]!.key);
      if (hasBytes(kind)) {
        if (wanted) this.#starts![base + column] = this.#valueAt(bytes, at);
        at += 5 + int32(bytes, at + 1);
      } else if (kind === NULL) {
        at++;
      } else if (kind === UNCHANGED) {
        at++;
        if (wanted && columns[column]!.key) throw this.#encoder.noKey();
      } else throw unknownKind(kind);
    }
    if (at - tuple >= largeMessage) return false;
    this.#add(mark, sequence, true, '');
    return true;
  }

  /** Takes the fields of all rows so far out of their messages, which are free then. */
  settle(): void {
    const rows = this.#waiting;
    if (rows === 0) return;
    this.#waiting = 0;
    const bytes = this.#bytes!;
    this.#bytes = undefined;
    const { columns, stray } = this.#filling!;
    const fields = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), starts: this.#starts!, stride: columns.length, rows, scratch: -1, owned: false };
    for (let i = 0; i < columns.length; i++) this.#forms[i]!.decode(fields, i, columns[i]!, stray[i]!);
  }

  /** The rows so far, of which there is one at least. The next ones go into other buffers. */
  take(): ChangeBatch {
    this.settle();
    const filling = this.#filling!;
    this.#filling = this.#spare;
    this.#spare = undefined;
    const { rows } = filling;
    const { named, columns } = filling.whole(this.#tellsUnchanged);
    return {
      stream: this.stream, rows,
      columns: [...this.#names, ...named],
      parts: parquetFile(columns, rows),
      release: () => {
        filling.reset();
        if (this.#filling) this.#spare ??= filling;
        else this.#filling = filling;
      },
    };
  }

  /** Memory is given back; there must be no rows. */
  rest(): void {
    this.#filling = undefined;
    this.#spare = undefined;
    this.#starts = undefined;
  }

  /** Where the bytes of a value begin that is not null. */
  #valueAt(bytes: Buffer, at: number): number {
    if (bytes[at] !== this.#kind) throw unknownKind(bytes[at]);
    return at + 5;
  }

  /** Where the fields of the next row begin in `starts`, all of them null so far. */
  #room(bytes: Buffer): number {
    const stride = this.#forms.length;
    const starts = (this.#starts ??= new Int32Array(Math.max(mostFields, stride)));
    if (this.#waiting > 0 && (this.#bytes !== bytes || (this.#waiting + 1) * stride > starts.length)) this.settle();
    this.#bytes = bytes;
    const base = this.#waiting * stride;
    starts.fill(-1, base, base + stride);
    return base;
  }

  #add(mark: TransactionMark, sequence: number, isGone: boolean, unchanged: string): void {
    this.#filling ??= new ChangeBuffers(this.#forms);
    if (unchanged !== '') this.#tellsUnchanged = true;
    this.#filling.add(mark, sequence, isGone, unchanged);
    this.#waiting++;
  }
}
