import type { LoadColumn } from '../warehouse.js';

/**
 * Which column a COPY failed at. The server tells it in the error's context only, `COPY t, line 7, column c: "…"`, which holds the value,
 * too, and is in the server's language: so the columns' own names are looked for. Undefined where it is not about a value.
 */
export function columnOfFailure(error: unknown, columns: readonly LoadColumn[]): string | undefined {
  const { code, where } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown; where?: unknown };
  if (typeof code !== 'string' || !code.startsWith('22') || typeof where !== 'string') return undefined;
  const place = where.split('\n', 1)[0]!.split(': ', 1)[0]!;
  const named = columns.filter(({ name }) => where.startsWith(`${place.slice(0, place.length - name.length)}${name}: `) && place.endsWith(` ${name}`));
  return named.sort((a, b) => b.name.length - a.name.length)[0]?.name;
}
