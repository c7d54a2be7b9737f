export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;
/** Reads the same whatever `standard_conforming_strings` says. */
export const literal = (text: string): string => {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return text.includes('\\') ? ` E${quoted}` : quoted;
};
export const qualified = (schema: string, name: string): string => `${identifier(schema)}.${identifier(name)}`;
