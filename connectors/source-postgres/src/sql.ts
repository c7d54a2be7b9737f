import { literal } from '@tapline/postgres-client';

/** A text array as a literal: elements are quoted, so any text is held. */
export const textArray = (values: readonly string[]): string =>
  `${literal(`{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`)}::pg_catalog.text[]`;
