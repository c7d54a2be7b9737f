/** What `verify` found: for people, and as JSON. */
import type { Column } from '@tapline/catalog';
import { streamKey } from '@tapline/protocol';
import { count } from '../report/numbers.js';
import type { Difference } from './verify-rows.js';
import type { TableResult } from './verify-table.js';

export interface VerifyResult {
  readonly sync: string;
  readonly tables: readonly TableResult[];
  /** Where in its log the source was compared, as its people write it. */
  readonly position: string | undefined;
  readonly notes: readonly string[];
}

/** The form is a contract: docs/cli.md. */
export function verifyJson({ sync, tables, position, notes }: VerifyResult): object {
  return {
    type: 'verify',
    sync,
    ...(position !== undefined && { position }),
    tables: tables.map((table) => ({
      ...(table.configured.stream.namespace && { namespace: table.configured.stream.namespace }),
      name: table.configured.stream.name,
      equal: table.equal,
      source_rows: table.sourceRows,
      destination_rows: table.destinationRows,
      differing_keys: table.differences.map((difference) => keyOf(table.key, difference)),
      differences: table.differences.map(({ kind, columns }) => ({ kind, ...(columns.length > 0 && { columns: columns.map((index) => table.columns[index]!.name) }) })),
      ...(table.more && { more: true }),
      ...(table.notes.length > 0 && { notes: table.notes }),
      ...(table.error && { error: { kind: table.error.kind, message: table.error.message } }),
    })),
    ...(notes.length > 0 && { notes }),
  };
}

export function verifyText({ tables, position, notes }: VerifyResult): string {
  const equal = tables.filter((table) => table.equal).length;
  const lines = tables.flatMap(tableLines);
  const where = position === undefined ? '' : `, at ${position}`;
  lines.push(...notes.map((note) => `note: ${note}`), `${count(equal)} of ${count(tables.length)} ${tables.length === 1 ? 'table' : 'tables'} equal${where}`);
  return `${lines.join('\n')}\n`;
}

function tableLines(table: TableResult): string[] {
  const name = streamKey(table.configured.stream);
  if (table.error) return [`${name}: cannot be compared: ${table.error.message}`];
  const rows = table.sourceRows === table.destinationRows ? `${count(table.sourceRows)} rows` : `${count(table.sourceRows)} rows in the source, ${count(table.destinationRows)} in the destination`;
  return [
    `${name}: ${table.equal ? 'equal' : 'DIFFERENT'}, ${rows}`,
    ...table.differences.map((difference) => `  ${keyText(table.key, difference)}: ${what(table, difference)}`),
    ...(table.more ? ['  … and more'] : []),
    ...table.notes.map((note) => `  note: ${note}`),
  ];
}

const words = { missing: 'missing in the destination', extra: 'only in the destination', doubled: 'more than once in the destination', changed: 'differs' } as const;

function what({ columns }: TableResult, { kind, columns: differing }: Difference): string {
  return differing.length === 0 ? words[kind] : `${words[kind]} in ${differing.map((index) => columns[index]!.name).join(', ')}`;
}

const keyText = (key: readonly Column[], difference: Difference): string =>
  Object.entries(keyOf(key, difference)).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join(' ');

/** By column: a number or a boolean as such where JSON can hold it, anything else as text. */
function keyOf(key: readonly Column[], { values }: Difference): Record<string, unknown> {
  return Object.fromEntries(key.map(({ name, type }, index) => {
    const text = values[index] ?? null;
    if (text === null) return [name, null];
    if (type.kind === 'boolean') return [name, text === 'true'];
    return [name, type.kind === 'int' && Number.isSafeInteger(Number(text)) ? Number(text) : text];
  }));
}
