import type { StreamDescriptor } from './messages.js';

/**
 * A stream as one string, for maps and JSON keys: `namespace.name`, each part SQL-quoted unless it is plain
 * (`[A-Za-z_][A-Za-z0-9_$]*`), so that no two streams share a key: `public.orders`, `public."dot.ted"`.
 * Without a namespace (absent, null or empty) just the name's part.
 */
export function streamKey(stream: StreamDescriptor): string {
  const name = quotePart(stream.name);
  return stream.namespace ? `${quotePart(stream.namespace)}.${name}` : name;
}

const plain = /^[A-Za-z_][A-Za-z0-9_$]*$/;
const quotePart = (part: string): string => (plain.test(part) ? part : `"${part.replaceAll('"', '""')}"`);
