/**
 * The logical types: one table for every source and every destination. What each looks like on the wire (in a
 * record's `data`), in a JSON schema, in DuckDB, in Parquet and in PostgreSQL is told in `forms.ts`.
 */
export type LogicalType =
  | { readonly kind: 'boolean' | 'text' | 'bytes' | 'date' | 'time' | 'timestamp' | 'timestamptz' | 'interval' | 'uuid' }
  | { readonly kind: 'int'; readonly bits: 16 | 32 | 64 }
  | { readonly kind: 'float'; readonly bits: 32 | 64 }
  /** Up to 38 digits: travels as a JSON string, lands as DECIMAL. */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  /** Without bounds, or of more than 38 digits: travels and lands as text. */
  | { readonly kind: 'bigdecimal' }
  /**
   * JSON. `embedded`: the value stands in the record as JSON itself (other people's objects, arrays and unions); else
   * as a string that holds the JSON text, so that no reader on the way can damage its digits.
   */
  | { readonly kind: 'json'; readonly embedded: boolean }
  /** Travels as a string that holds JSON text. */
  | { readonly kind: 'array'; readonly of: LogicalType };

const simple = ['boolean', 'text', 'bytes', 'date', 'time', 'timestamp', 'timestamptz', 'interval', 'uuid'] as const;
type SimpleKind = (typeof simple)[number];
const isSimple = (text: string): text is SimpleKind => (simple as readonly string[]).includes(text);

/** The name of a type as it stands in `tapline_type`: `int64`, `decimal(12,2)`, `array<text>`. */
export function formatLogicalType(type: LogicalType): string {
  switch (type.kind) {
    case 'int':
    case 'float':
      return `${type.kind}${type.bits}`;
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`;
    case 'bigdecimal':
      return 'decimal';
    case 'array':
      return `array<${formatLogicalType(type.of)}>`;
    default:
      return type.kind;
  }
}

/** The inverse of {@link formatLogicalType}; undefined for a name it does not know. */
export function parseLogicalType(text: string): LogicalType | undefined {
  if (isSimple(text)) return { kind: text };
  const array = /^array<(.+)>$/.exec(text);
  if (array) {
    const of = parseLogicalType(array[1]!);
    return of && { kind: 'array', of };
  }
  const decimal = /^decimal\((\d+),(\d+)\)$/.exec(text);
  if (decimal) return { kind: 'decimal', precision: Number(decimal[1]), scale: Number(decimal[2]) };
  switch (text) {
    case 'int16': return { kind: 'int', bits: 16 };
    case 'int32': return { kind: 'int', bits: 32 };
    case 'int64': return { kind: 'int', bits: 64 };
    case 'float32': return { kind: 'float', bits: 32 };
    case 'float64': return { kind: 'float', bits: 64 };
    case 'decimal': return { kind: 'bigdecimal' };
    case 'json': return { kind: 'json', embedded: false };
    default: return undefined;
  }
}
