/** Rows of batch files in the binary form of COPY: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT */
import { plainForm, plainValues, type PlainForm } from '@tapline/sdk/batch';
import type { PlainRows } from '@tapline/columnar';
import type { PlainLoadColumn, PlainLoadPart } from '../../warehouse.js';
import { constant, NotAsItIs, nullable, type Field } from './field.js';
import { timestampBytes } from './fixed-fields.js';
import { binaryForm } from './forms.js';
import type { CopyMemory } from './memory.js';
import { countedOrder, givenOrder, type OrderFields } from './order-fields.js';

const signature = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const trailer = Buffer.from([0xff, 0xff]);

/** Larger ones would be held twice: the engine reads them in pieces. */
export const largestFile = 64 << 20;

export interface BinaryRows {
  readonly columns: readonly PlainLoadColumn[];
  readonly files: readonly BinaryFile[];
}

/** One batch file, and what its rows have besides. */
export interface BinaryFile {
  readonly path: string;
  readonly part: PlainRows;
  readonly rows: number;
  /** Number of its first row. */
  readonly firstRow: number;
  /** Milliseconds since 1970. */
  readonly emittedAt: number;
}

export function filesOf(parts: readonly PlainLoadPart[]): BinaryFile[] {
  return parts.flatMap(({ rows: part, paths }) => {
    let next = part.firstRow;
    return part.files.map(({ rows, emittedAt }, i) => {
      const firstRow = next;
      next += rows;
      return { path: paths[i]!, part, rows, firstRow, emittedAt };
    });
  });
}

/** Throws {@link NotAsItIs} where a value is none that the server holds as it is: the copy is called off then, and nothing of it was taken. */
export async function* binaryCopyOf({ columns, files }: BinaryRows, memory: CopyMemory): AsyncGenerator<Buffer, void, undefined> {
  yield signature;
  for (const file of files) {
    const form = await plainForm(file.path);
    if (form?.rows !== file.rows) throw new NotAsItIs();
    await memory.read(file.path);
    yield* rowsOf(memory, fieldsOf(memory, columns, file, form), file.rows);
  }
  yield trailer;
}

function* rowsOf(memory: CopyMemory, fields: readonly Field[], rows: number): Generator<Buffer> {
  let at = memory.start;
  for (let row = 0; row < rows; row++) {
    memory.view.setInt16(at, fields.length);
    at += 2;
    for (const field of fields) at = field(at);
    if (!memory.isFull(at)) continue;
    yield memory.chunk(at);
    at = memory.start;
  }
  if (at > memory.start) yield memory.chunk(at);
}

function fieldsOf(memory: CopyMemory, columns: readonly PlainLoadColumn[], { part, firstRow, emittedAt }: BinaryFile, form: PlainForm): Field[] {
  const valuesOf = (index: number) => {
    const found = plainValues(memory.file, form.columns[index]!, form.rows);
    if (!found) throw new NotAsItIs();
    return { ...found, memory };
  };
  const orders: OrderFields = part.order === undefined
    ? countedOrder(memory, { prefix: part.orderPrefix, first: firstRow, rawIdPrefix: part.rawIdPrefix })
    : givenOrder(valuesOf(part.order), part.rawIdPrefix);

  return columns.map(({ type, value }): Field => {
    switch (value.kind) {
      case 'null': return constant(memory, null);
      case 'order': return orders.order;
      case 'raw_id': return orders.rawId;
      case 'extracted_at': return constant(memory, timestampBytes(emittedAt));
      case 'meta': return constant(memory, Buffer.concat([Buffer.from([1]), Buffer.from(part.meta)]));
      case 'generation': return constant(memory, int64(part.generation));
      case 'field': {
        const values = valuesOf(value.index);
        const field = binaryForm(type)!.field(values);
        // The levels are in the file's part of the memory, which may move.
        return values.validity ? nullable(memory, Buffer.from(values.validity), field) : field;
      }
    }
  });
}

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}
