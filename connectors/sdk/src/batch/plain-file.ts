/**
 * Reads a file that is as `parquetFile` makes them: PLAIN, uncompressed, one row group, one page (v1) a column. Whatever is otherwise is
 * for a real reader of Parquet, and is answered with undefined. Nothing is taken for granted: sizes and offsets come from somebody else.
 */
import { open } from 'node:fs/promises';
import { widthOf, type BatchType } from './column.js';
import { readStruct, type Struct, type Value } from './compact-reader.js';
import { converted, encodings, fieldIds as ids, magic, physical, physicalType, repetition } from './parquet-format.js';

export interface PlainColumn {
  readonly name: string;
  readonly type: BatchType;
  /** A row may have no value. */
  readonly nullable: boolean;
  /** Where its page begins in the file, and how long it is with its header. */
  readonly offset: number;
  readonly bytes: number;
}

export interface PlainForm {
  readonly rows: number;
  readonly columns: readonly PlainColumn[];
}

/** The values of one column. As those of a `Column`. */
export interface PlainValues {
  /** A bit a row, set where it has a value; undefined = all have one. */
  readonly validity: Uint8Array | undefined;
  /** Where the page begins behind its header: with the levels, where a row may have no value. */
  readonly body: number;
  /** Where they begin and end in the file. */
  readonly start: number;
  readonly end: number;
}

/** Of most files: more is read where a footer is longer. */
const tailBytes = 8192;

/** What its footer says. Rejects where the file cannot be read at all. */
export async function plainForm(path: string): Promise<PlainForm | undefined> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size < 2 * magic.length + 4) return undefined;
    let tail = await readAt(size - Math.min(size, tailBytes), Math.min(size, tailBytes));
    if (!tail.subarray(-magic.length).equals(magic)) return undefined;
    const length = tail.readUInt32LE(tail.length - 8);
    if (length > size - 2 * magic.length - 4) return undefined;
    if (length + 8 > tail.length) tail = await readAt(size - length - 8, length + 8);
    return formAtEnd(tail, length, size);
  } finally {
    await file.close();
  }

  async function readAt(position: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, position);
    return bytes;
  }
}

/** The same of a file that was read. */
export function plainFormIn(bytes: Buffer): PlainForm | undefined {
  const size = bytes.length;
  if (size < 2 * magic.length + 4 || !bytes.subarray(-magic.length).equals(magic)) return undefined;
  const length = bytes.readUInt32LE(size - 8);
  return length > size - 2 * magic.length - 4 ? undefined : formAtEnd(bytes, length, size);
}

/** `tail`: of a file of `size` bytes, at least its footer and what is behind it. */
const formAtEnd = (tail: Buffer, length: number, size: number): PlainForm | undefined =>
  formOf(tail.subarray(tail.length - 8 - length, tail.length - 8), size - 8 - length);

/** `end`: where the pages end. */
function formOf(footer: Buffer, end: number): PlainForm | undefined {
  try {
    const { struct } = readStruct(footer, 0);
    const [root, ...elements] = structs(struct.get(ids.file.schema));
    const [group, ...others] = structs(struct.get(ids.file.rowGroups));
    if (!root || !group || others.length > 0) return undefined;
    const chunks = structs(group.get(ids.rowGroup.columns));
    const rows = number(group.get(ids.rowGroup.rows));
    if (rows < 1 || elements.length !== chunks.length || number(root.get(ids.element.children)) !== elements.length) return undefined;
    const columns = elements.map((element, i) => columnOf(element, chunks[i]!, rows, end));
    return columns.every((column) => column !== undefined) ? { rows, columns } : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function columnOf(element: Struct, chunk: Struct, rows: number, end: number): PlainColumn | undefined {
  const type = typeOf(element);
  const meta = chunk.get(ids.chunk.metadata);
  if (!type || !isStruct(meta) || element.has(ids.element.children) || chunk.has(ids.chunk.file)) return undefined;
  const used = list(meta.get(ids.column.encodings));
  const [offset, bytes] = [number(meta.get(ids.column.dataPage)), number(meta.get(ids.column.compressedBytes))];
  const isPlain = used.every((encoding) => encoding === encodings.plain || encoding === encodings.rle) && number(meta.get(ids.column.codec)) === 0;
  if (!isPlain || meta.has(ids.column.dictionaryPage) || number(meta.get(ids.column.values)) !== rows) return undefined;
  if (number(meta.get(ids.column.type)) !== physicalType(type) || offset < magic.length || bytes < 1 || offset + bytes > end) return undefined;
  const name = element.get(ids.element.name);
  return { name: Buffer.isBuffer(name) ? name.toString() : '', type, nullable: number(element.get(ids.element.repetition)) === repetition.optional, offset, bytes };
}

/** The inverse of what `parquetFile` writes. */
function typeOf(element: Struct): BatchType | undefined {
  const kind = element.get(ids.element.type);
  const as = element.get(ids.element.converted);
  const logical = element.get(ids.element.logical);
  const annotated = isStruct(logical) ? [...logical.keys()][0] : undefined;
  const repeats = element.get(ids.element.repetition);
  if (repeats !== repetition.required && repeats !== repetition.optional) return undefined;
  if (as === converted.decimal) return decimalOf(element);
  switch (kind) {
    case physical.boolean: return as === undefined && annotated === undefined ? { kind: 'boolean' } : undefined;
    case physical.float: return { kind: 'float', bits: 32 };
    case physical.double: return { kind: 'float', bits: 64 };
    case physical.byteArray: return as === converted.utf8 ? { kind: 'text' } : as === undefined && annotated === undefined ? { kind: 'bytes' } : undefined;
    case physical.int32:
      if (annotated !== undefined) return undefined;
      return as === undefined ? { kind: 'int', bits: 32 } : as === converted.int16 ? { kind: 'int', bits: 16 } : as === converted.date ? { kind: 'date' } : undefined;
    case physical.int64:
      if (as === undefined && annotated === undefined) return { kind: 'int', bits: 64 };
      return isStruct(logical) ? timeOf(logical) : undefined;
    default: return undefined;
  }
}

function decimalOf(element: Struct): BatchType | undefined {
  const [precision, scale] = [number(element.get(ids.element.precision)), number(element.get(ids.element.scale))];
  if (precision < 1 || precision > 38 || scale < 0 || scale > precision) return undefined;
  const type: BatchType = { kind: 'decimal', precision, scale };
  if (element.get(ids.element.type) !== physicalType(type)) return undefined;
  return widthOf(type) !== 16 || element.get(ids.element.length) === 16 ? type : undefined;
}

function timeOf(logical: Struct): BatchType | undefined {
  const [id, value] = [...logical][0]!;
  if (!isStruct(value)) return undefined;
  const unit = value.get(2);
  if (!isStruct(unit) || !unit.has(2)) return undefined;
  const utc = value.get(1) === true;
  if (id === ids.logical.time) return utc ? undefined : { kind: 'time' };
  return id === ids.logical.timestamp ? { kind: utc ? 'timestamptz' : 'timestamp' } : undefined;
}

/** Where a column's values are. `bytes`: the file. Undefined where its page is none of ours. */
export function plainValues(bytes: Buffer, column: PlainColumn, rows: number): PlainValues | undefined {
  try {
    const end = column.offset + column.bytes;
    const { struct, end: body } = readStruct(bytes.subarray(0, end), column.offset);
    const header = struct.get(ids.page.data);
    if (number(struct.get(ids.page.type)) !== 0 || !isStruct(header) || body + number(struct.get(ids.page.bytes)) !== end) return undefined;
    if (number(header.get(1)) !== rows || number(header.get(2)) !== encodings.plain) return undefined;
    return column.nullable ? nullableValues(bytes, body, end, rows) : { validity: undefined, body, start: body, end };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** One run of bits, as a row is. */
function nullableValues(bytes: Buffer, at: number, end: number, rows: number): PlainValues | undefined {
  if (at + 5 > end) return undefined;
  const start = at + 4 + bytes.readUInt32LE(at);
  let [run, factor, from] = [0, 1, at + 4];
  for (; from < start && factor < 2 ** 40; factor *= 128) {
    const next = bytes[from++]!;
    run += (next & 0x7f) * factor;
    if (next < 0x80) break;
  }
  const length = (rows + 7) >> 3;
  if (run !== 2 * length + 1 || start - from !== length || start > end) return undefined;
  return { validity: bytes.subarray(from, start), body: at, start, end };
}

const isStruct = (value: Value | undefined): value is Struct => value instanceof Map;
const list = (value: Value | undefined): readonly Value[] => (Array.isArray(value) ? value as readonly Value[] : []);
const structs = (value: Value | undefined): Struct[] => list(value).filter(isStruct);
const number = (value: Value | undefined): number => (typeof value === 'number' ? value : -1);
