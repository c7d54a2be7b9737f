/** Numbers as people read them, the same in every locale. */

export const count = (value: number): string => Math.round(value).toLocaleString('en-US');

export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
  const exponent = Math.min(units.length, Math.floor(Math.log10(value) / 3));
  const scaled = value / 1000 ** exponent;
  return `${scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${units[exponent - 1]}`;
}

export function time(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
}

/** Columns of text, as wide as need be; those named in `right` are set to the right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, cell.length)));
  const pad = (cell: string, index: number): string => (right.includes(index) ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!));
  return rows.map((row) => `  ${row.map(pad).join('  ')}`.trimEnd()).join('\n');
}
