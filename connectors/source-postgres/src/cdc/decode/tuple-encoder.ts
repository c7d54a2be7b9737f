/** Tuples of one version of a table to RECORD lines of one stream, without an object for a row or a value. */
import { configError, streamKey, systemError, type StreamDescriptor } from '@tapline/protocol';
import { linePrefix } from '../../reading.js';
import type { ColumnType } from '../../types.js';
import type { ArrayElements } from './array-json.js';
import { binaryValue, type BinaryValue } from './binary-values.js';
import { elementsOf, Form, formOf, writeValue } from './forms.js';
import { writeNull } from './json-text.js';
import type { Hole, LineBuffer, UnchangedTable } from './line-buffer.js';
import type { OldKind, WireRelation } from './messages.js';
import type { TransactionMark } from './transaction-mark.js';
import { BINARY, columnAt, hasBytes, int32, NULL, uint16, UNCHANGED, unknownKind } from './tuple.js';

/** In place of the offset of an old tuple: the update came without one; or there was no such row (a filter of the publication lets an update in as an insert). */
export const noOld = -1;
export const noRow = -2;

export { TransactionMark } from './transaction-mark.js';

export interface OutColumn {
  /** Place in the wire tuple. */
  readonly index: number;
  readonly property: string;
  readonly type: ColumnType;
  /** Rows are told apart by it; a row that is deleted is told by it alone. */
  readonly key: boolean;
  /** A destination may have no value of it, or an older one: what did not change has to be told all the same. */
  readonly late?: boolean;
}

export interface TupleEncoderOptions {
  readonly stream: StreamDescriptor;
  readonly relation: WireRelation;
  readonly columns: readonly OutColumn[];
  /** Unchanged TOAST is named in `meta.unchanged`, unless its row comes under a new key: nobody holds a value under that. */
  readonly partial: boolean;
  /** Else it is fetched (a hole in the {@link LineBuffer}), or ends the run. */
  readonly toast: 'reselect' | 'fail';
}

const noElements: undefined = undefined;
const hex = Buffer.from('0123456789abcdef');

export class TupleEncoder {
  readonly options: TupleEncoderOptions;
  readonly #prefixOf: (emittedAt: number) => string;
  /** By place in the wire tuple. */
  readonly #columns: readonly (OutColumn | undefined)[];
  readonly #forms: Uint8Array;
  readonly #elements: readonly (ArrayElements | undefined)[];
  /** Made when the first value of the column comes so: a log in text has none. */
  readonly #binary: (BinaryValue | undefined)[] = [];
  readonly #keys: readonly OutColumn[];
  /** `,"name":` of each, one after another, and where each begins; the last entry is the end. */
  readonly #names: Uint8Array;
  readonly #nameAt: Int32Array;
  #prefix = Buffer.alloc(0);
  #emittedAt = Number.NaN;
  readonly #table: UnchangedTable;

  constructor(options: TupleEncoderOptions) {
    this.options = options;
    this.#prefixOf = linePrefix(options.stream);
    const width = Math.max(options.relation.columns.length, ...options.columns.map(({ index }) => index + 1));
    const columns = Array.from({ length: width }, (_, i) => options.columns.find(({ index }) => index === i));
    const names = columns.map((column) => Buffer.from(column ? `,${JSON.stringify(column.property)}:` : ''));
    this.#columns = columns;
    this.#forms = Uint8Array.from(columns, (column) => (column ? formOf(column.type) : Form.skip));
    this.#elements = columns.map((column) => (column ? elementsOf(column.type) : noElements));
    this.#keys = columns.filter((column) => column !== undefined).filter(({ key }) => key);
    this.#names = new Uint8Array(Buffer.concat(names));
    this.#nameAt = new Int32Array(width + 1);
    names.forEach(({ length }, i) => (this.#nameAt[i + 1] = this.#nameAt[i]! + length));
    this.#table = { oid: options.relation.oid, key: this.#keys.map(({ index, type }) => ({ name: this.#nameOf(index), type })) };
    this.emittedAt = Date.now();
  }

  /** In ms. Set it now and then: each time is another beginning of a line. */
  set emittedAt(ms: number) {
    if (ms === this.#emittedAt) return;
    this.#emittedAt = ms;
    this.#prefix = Buffer.from(`${this.#prefixOf(ms)}{`);
  }

  /**
   * Appends the line of a row that is there now. `old`: offset of the message's old tuple, of either kind, {@link noOld} or {@link noRow}:
   * a whole one has what is unchanged, and a key that is unchanged lies in both.
   */
  upsert(out: LineBuffer, bytes: Buffer, tuple: number, old: number, mark: TransactionMark, sequence: number): void {
    const forms = this.#forms;
    const holes = out.holes.length;
    let unchanged = '';
    out.beginLine();
    out.append(this.#prefix);
    const first = out.at;
    const count = Math.min(uint16(bytes, tuple), forms.length);
    let at = tuple + 2;
    for (let i = 0; i < count; i++) {
      const kind = bytes[at];
      if (hasBytes(kind)) {
        if (forms[i] !== Form.skip) this.#write(out, first, i, bytes, at);
        at += 5 + int32(bytes, at + 1);
      } else if (kind === NULL) {
        at++;
        if (forms[i] !== Form.skip) this.#writeNull(out, first, i);
      } else if (kind === UNCHANGED) {
        at++;
        if (forms[i] !== Form.skip && !this.#writeOld(out, first, i, bytes, old)) {
          if (this.keepsUnchanged(i, bytes, old, tuple)) unchanged += `${unchanged === '' ? '' : ','}${JSON.stringify(this.#columns[i]!.property)}`;
          else this.#leaveHole(out, first, i, bytes, tuple, old);
        }
      } else throw unknownKind(kind);
    }
    this.#finish(out, first, mark.alive, mark.withOrder, sequence);
    this.#end(out, holes, unchanged);
  }

  /** Appends the line of a row that is gone: its key, or with identity FULL all of it. */
  delete(out: LineBuffer, bytes: Buffer, tuple: number, oldKind: OldKind, mark: TransactionMark, sequence: number): void {
    const forms = this.#forms;
    const holes = out.holes.length;
    out.beginLine();
    out.append(this.#prefix);
    const first = out.at;
    const count = Math.min(uint16(bytes, tuple), forms.length);
    let at = tuple + 2;
    for (let i = 0; i < count; i++) {
      const kind = bytes[at];
      const wanted = forms[i] !== Form.skip && (oldKind === 'O' || this.#columns[i]!.key);
      if (hasBytes(kind)) {
        if (wanted) this.#write(out, first, i, bytes, at);
        at += 5 + int32(bytes, at + 1);
      } else if (kind === NULL) {
        at++;
        if (wanted) this.#writeNull(out, first, i);
      } else if (kind === UNCHANGED) {
        at++;
        if (wanted && this.#columns[i]!.key) throw this.noKey();
      } else throw unknownKind(kind);
    }
    this.#finish(out, first, mark.deleted, mark.withOrder, sequence);
    this.#end(out, holes, '');
  }

  /** Whether the key differs between two tuples: bytes are compared, and a value that is unchanged is the same. */
  keyChanged(bytes: Buffer, old: number, tuple: number): boolean {
    for (const { index } of this.#keys) {
      const a = columnAt(bytes, old, index);
      const b = columnAt(bytes, tuple, index);
      if (bytes[a] === UNCHANGED || bytes[b] === UNCHANGED) continue;
      if (bytes[a] !== bytes[b]) return true;
      if (bytes[a] === NULL) continue;
      const length = int32(bytes, a + 1);
      if (length !== int32(bytes, b + 1) || bytes.compare(bytes, b + 5, b + 5 + length, a + 5, a + 5 + length) !== 0) return true;
    }
    return false;
  }

  /** Whether the destination has the value of a column that is unchanged, and in neither tuple. */
  keepsUnchanged(index: number, bytes: Buffer, old: number, tuple: number): boolean {
    return this.options.partial && !this.#columns[index]!.late && this.#isKnown(bytes, old, tuple);
  }

  /** Whether there is a row under the new tuple's key already. */
  #isKnown(bytes: Buffer, old: number, tuple: number): boolean {
    return old === noOld || (old !== noRow && !this.keyChanged(bytes, old, tuple));
  }

  /** `at`: where the value's kind stands. */
  #write(out: LineBuffer, first: number, index: number, bytes: Buffer, at: number): void {
    const start = at + 5;
    const end = start + int32(bytes, at + 1);
    this.#writeName(out, first, index);
    const form = this.#forms[index] as Form;
    if (bytes[at] === BINARY) this.#binaryOf(index).write(out, bytes, start, end);
    else if (form === Form.server) out.holes.push(hole(out.at, this.#columns[index]!, { kind: 'cast', sqlType: this.#columns[index]!.type.sqlName, text: bytes.toString('utf8', start, end) }));
    else writeValue(out, form, bytes, start, end, this.#elements[index]);
  }

  #binaryOf(index: number): BinaryValue {
    const value = (this.#binary[index] ??= binaryValue(this.#columns[index]!.type));
    // Whoever asks for the log in binary looks before whether all of its types are known so (changes.ts).
    if (!value) throw systemError(`${streamKey(this.options.stream)}: the log holds '${this.#nameOf(index)}' in a binary form that is not known here`, { code: 'pg_unknown_message' });
    return value;
  }

  #writeNull(out: LineBuffer, first: number, index: number): void {
    this.#writeName(out, first, index);
    writeNull(out);
  }

  #writeName(out: LineBuffer, first: number, index: number): void {
    const names = this.#names;
    const end = this.#nameAt[index + 1]!;
    // The comma is not for the first.
    let from = this.#nameAt[index]! + (out.at === first ? 1 : 0);
    out.reserve(end - from);
    const { bytes } = out;
    let { at } = out;
    while (from < end) bytes[at++] = names[from++]!;
    out.at = at;
  }

  /** A value that the new tuple has not, from the old one. False: that has it neither. */
  #writeOld(out: LineBuffer, first: number, index: number, bytes: Buffer, old: number): boolean {
    const at = this.oldColumn(index, bytes, old);
    if (at === -1) return false;
    if (bytes[at] === NULL) this.#writeNull(out, first, index);
    else this.#write(out, first, index, bytes, at);
    return true;
  }

  /** Where the old tuple has the value of a column; -1: it has none. */
  oldColumn(index: number, bytes: Buffer, old: number): number {
    // The kind of an old tuple stands before it.
    const isWhole = old >= 0 && bytes[old - 1] === 0x4f;
    if (old < 0 || (!isWhole && !this.options.relation.columns[index]?.key)) return -1;
    const at = columnAt(bytes, old, index);
    return bytes[at] === UNCHANGED ? -1 : at;
  }

  #leaveHole(out: LineBuffer, first: number, index: number, bytes: Buffer, tuple: number, old: number): void {
    const { stream, toast } = this.options;
    const column = this.#columns[index]!;
    if (toast === 'fail') {
      throw configError(
        `${streamKey(stream)}: an update did not touch the large value of '${column.property}', and the log leaves such values out. Set toast=reselect, or: ALTER TABLE ${streamKey(stream)} REPLICA IDENTITY FULL`,
        { code: 'pg_unchanged_toast', stream },
      );
    }
    const key = this.#keys.map((part) => {
      let at = columnAt(bytes, tuple, part.index);
      if (bytes[at] === UNCHANGED) at = this.oldColumn(part.index, bytes, old);
      if (at === -1 || bytes[at] === NULL) throw this.noKey();
      const start = at + 5;
      const end = start + int32(bytes, at + 1);
      return bytes[at] === BINARY ? this.#binaryOf(part.index).text(bytes, start, end) : bytes.toString('utf8', start, end);
    });
    this.#writeName(out, first, index);
    out.holes.push(hole(out.at, column, { kind: 'unchanged', table: this.#table, column: this.#nameOf(index), type: column.type, key }));
  }

  /** The columns of the change, and the end of `data`. */
  #finish(out: LineBuffer, first: number, tail: Buffer, withOrder: boolean, sequence: number): void {
    out.reserve(tail.length + 32);
    const target = out.bytes;
    let at = out.at;
    if (at !== first) target[at++] = 0x2c;
    target.set(tail, at);
    at += tail.length;
    if (withOrder) {
      at = writeHex(target, at, Math.floor(sequence / 0x1_0000_0000));
      at = writeHex(target, at, sequence);
      target[at++] = 0x22;
    }
    target[at++] = 0x7d;
    out.at = at;
  }

  /** What follows `data`, and the end of the line. */
  #end(out: LineBuffer, holes: number, unchanged: string): void {
    const meta = out.at;
    if (unchanged !== '') out.append(Buffer.from(`,"meta":{"unchanged":[${unchanged}]}`));
    out.reserve(3);
    const target = out.bytes;
    target[out.at++] = 0x7d;
    target[out.at++] = 0x7d;
    target[out.at++] = 0x0a;
    for (let i = holes; i < out.holes.length; i++) {
      const hole = out.holes[i]!;
      hole.hasMeta = unchanged !== '';
      hole.meta = hole.hasMeta ? meta + ',"meta":{'.length : meta;
      hole.end = out.at;
    }
    out.endLine();
  }

  #nameOf(index: number): string {
    return this.options.relation.columns[index]?.name ?? this.#columns[index]!.property;
  }

  noKey(): Error {
    const { stream } = this.options;
    return systemError(`${streamKey(stream)}: the log does not hold the key of a row that was changed: update the server to its newest minor release, and run with --full-refresh`, { code: 'pg_no_old_key', stream });
  }
}

const hole = (at: number, { property }: OutColumn, missing: Hole['missing']): Hole => ({ at, property, missing, meta: 0, hasMeta: false, end: 0 });

/** The lower 32 bits, in 8 digits. */
function writeHex(target: Buffer, at: number, value: number): number {
  for (let shift = 28; shift >= 0; shift -= 4) target[at++] = hex[(value >>> shift) & 15]!;
  return at;
}
