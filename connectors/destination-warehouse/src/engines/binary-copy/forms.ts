/** How a value of each type travels into a table of PostgreSQL's in the binary form: the one place that says which types do. */
import type { ColumnType } from '../../dialects/dialect.js';
import type { Field, FieldValues } from './field.js';
import { boolean, date, eightBytes, fourBytes, int16, time, timestamp } from './fixed-fields.js';
import { decimal, numericOfText } from './numeric-fields.js';
import { jsonb, text, uuid } from './text-fields.js';

export interface BinaryForm {
  /** Of the column's type in the server: bytes of another one would be taken for what they are not. */
  readonly oid: number;
  /** A column of a batch file of the type's native form, or of its text where it has none. */
  field(values: FieldValues): Field;
}

/** Undefined for a type whose values have to be looked at by the engine. */
export function binaryForm(type: ColumnType): BinaryForm | undefined {
  switch (type.kind) {
    case 'boolean': return { oid: 16, field: boolean };
    case 'int': return type.bits === 16 ? { oid: 21, field: int16 } : type.bits === 32 ? { oid: 23, field: fourBytes } : { oid: 20, field: eightBytes };
    case 'float': return type.bits === 32 ? { oid: 700, field: fourBytes } : { oid: 701, field: eightBytes };
    case 'decimal': return { oid: 1700, field: decimal(type.precision, type.scale) };
    case 'bigdecimal': return { oid: 1700, field: numericOfText };
    case 'bytes': return { oid: 17, field: text };
    case 'text': return { oid: 25, field: text };
    case 'json':
    case 'array': return { oid: 3802, field: jsonb };
    case 'uuid': return { oid: 2950, field: uuid };
    case 'date': return { oid: 1082, field: date };
    case 'time': return { oid: 1083, field: time };
    case 'timestamp': return { oid: 1114, field: timestamp };
    case 'timestamptz': return { oid: 1184, field: timestamp };
    default: return undefined;
  }
}
