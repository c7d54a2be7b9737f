import pg from 'pg';

export const identifier = (name: string): string => pg.escapeIdentifier(name);
export const literal = (text: string): string => pg.escapeLiteral(text);
export const qualified = (schema: string, name: string): string => `${identifier(schema)}.${identifier(name)}`;
/** A text array as a literal: elements are quoted, so any text is held. */
export const textArray = (values: readonly string[]): string =>
  `${literal(`{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`)}::pg_catalog.text[]`;
