/**
 * How a column of a change travels in a batch. Where the log is in binary, as in a copy (batch/forms.ts). Where it is in text, natively what is
 * read of text in no time, else as the text that a line has.
 */
import type { BatchType } from '@tapline/sdk/batch';
import type { ColumnType } from '../../types.js';
import { bytes } from '../../batch/decode-text.js';
import type { Decode } from '../../batch/fields.js';
import { binaryForm } from '../../batch/forms.js';
import type { LogForm } from '../decode/tuple.js';
import { elementsOf } from '../decode/forms.js';
import { boolean, decimal, float32, float64, hexBytes, int32, int64 } from './decode-scalars.js';
import { array } from './decode-texts.js';
import { date, timestamp, timestamptz } from './decode-times.js';

export interface ChangeForm {
  readonly type: BatchType;
  readonly decode: Decode;
}

const asText: ChangeForm = { type: { kind: 'text' }, decode: bytes };
/** So many digits 64 bits hold. */
const mostDigits = 18;

/** Undefined: only the server can write it; or it is none that is known in binary. */
export const changeForm = (type: ColumnType, log: LogForm): ChangeForm | undefined => (log === 'binary' ? binaryForm(type) : formOfText(type));

function formOfText(type: ColumnType): ChangeForm | undefined {
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
