import pg from 'pg';

export const identifier = (name: string): string => pg.escapeIdentifier(name);
export const literal = (text: string): string => pg.escapeLiteral(text);
export const qualified = (schema: string, name: string): string => `${identifier(schema)}.${identifier(name)}`;
