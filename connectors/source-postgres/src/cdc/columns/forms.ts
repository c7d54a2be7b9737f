/** How a column of a change travels in a batch: natively where its text in the log is read in no time, else as the text that a line has. */
import type { BatchType } from '@tapline/sdk/batch';
import type { ColumnType } from '../../types.js';
import type { Decode } from '../../batch/fields.js';
import { elementsOf } from '../decode/forms.js';
import { boolean, decimal, float32, float64, hexBytes, int32, int64 } from './decode-scalars.js';
import { array, text } from './decode-texts.js';
import { date, timestamp, timestamptz } from './decode-times.js';

export interface ChangeForm {
  readonly type: BatchType;
  readonly decode: Decode;
}

const asText: ChangeForm = { type: { kind: 'text' }, decode: text };
/** So many digits 64 bits hold. */
const mostDigits = 18;

/** Undefined: only the server can write it. */
export function changeForm(type: ColumnType): ChangeForm | undefined {
  const { logical } = type;
  switch (logical.kind) {
    case 'boolean': return { type: { kind: 'boolean' }, decode: boolean };
    case 'int': return { type: logical, decode: logical.bits === 64 ? int64 : int32 };
    case 'float': return { type: logical, decode: logical.bits === 64 ? float64 : float32 };
    case 'decimal': return logical.precision <= mostDigits ? { type: logical, decode: decimal(logical.precision, logical.scale) } : asText;
    case 'date': return { type: { kind: 'date' }, decode: date };
    case 'timestamp': return { type: { kind: 'timestamp' }, decode: timestamp };
    case 'timestamptz': return { type: { kind: 'timestamptz' }, decode: timestamptz };
    case 'bytes': return { type: { kind: 'bytes' }, decode: hexBytes };
    case 'array': {
      const elements = elementsOf(type);
      return elements && { type: { kind: 'text' }, decode: array(elements) };
    }
    default: return asText;
  }
}
