/**
 * Whether the log is asked for in binary: it costs the server and us less, where its values become columns. It is one setting for the whole
 * connection, so that every wanted column has to be of a type that is known in binary.
 */
import type { StreamDescriptor } from '@tapline/protocol';
import { binaryForm } from '../batch/forms.js';
import { label } from '../reading.js';
import type { ColumnType } from '../types.js';
import type { LogForm } from './decode/tuple.js';
import type { StreamSchema } from './stream-schema.js';

/** In a log in binary there is a column of another type now: from where it stands, it has to be read in text. */
export class TextWanted extends Error {
  override readonly name = 'TextWanted';
}

interface Typed {
  readonly name: string;
  readonly type: ColumnType;
}

const isInTextAlone = (schema: StreamSchema) => ({ name, type }: Typed): boolean => schema.wants(name) && !binaryForm(type);

/** How the log of one run is read. */
export class ChosenForm {
  #form: LogForm;

  /** `columns`: the run has batches. Lines are made of text. */
  constructor(columns: boolean) {
    this.#form = columns ? 'binary' : 'text';
  }

  get form(): LogForm {
    return this.#form;
  }

  /** Before the log is read. */
  holds(schema: StreamSchema, columns: readonly Typed[]): void {
    if (columns.some(isInTextAlone(schema))) this.#form = 'text';
  }

  /** While it is read. Throws {@link TextWanted} where it has to be read in another form; that form is chosen then. */
  requires(stream: StreamDescriptor, schema: StreamSchema, columns: readonly Typed[]): void {
    const other = this.#form === 'text' ? undefined : columns.find(isInTextAlone(schema));
    if (!other) return;
    this.#form = 'text';
    throw new TextWanted(`${label(stream)} has a column '${other.name}' now, whose type is read from the log in text alone`);
  }
}
