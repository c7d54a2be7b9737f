// Asks DuckDB, and prints the answer as a table.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../setup.mjs';

const dim = process.stdout.isTTY ? (text) => `\x1b[2m${text}\x1b[0m` : (text) => text;
let connection;

export async function question(sql) {
  connection ??= await (await duckdb()).connect();
  console.log(`\n   ${dim('$')} duckdb -c "${sql}"`);
  const reader = await connection.runAndReadAll(sql);
  table(reader.columnNames(), reader.getRowsJson());
}

/** The engine of the workspace, which is a dependency of its tests. Paths in a query are relative to the root. */
export async function duckdb() {
  process.chdir(root);
  const path = createRequire(join(root, 'test', 'package.json')).resolve('@duckdb/node-api');
  const { DuckDBInstance } = await import(pathToFileURL(path).href);
  return DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false', threads: '2' });
}

function table(names, rows) {
  const cells = [names, ...rows.map((row) => row.map((value) => (value === null ? '' : String(value))))];
  const widths = names.map((_, column) => Math.min(40, Math.max(...cells.map((row) => row[column].length))));
  const numeric = names.map((_, column) => rows.every((row) => row[column] === null || /^-?[\d.]+$/.test(String(row[column]))));
  const line = (row) => row.map((text, at) => (numeric[at] ? text.padStart(widths[at]) : text.slice(0, widths[at]).padEnd(widths[at]))).join('  ');
  cells.forEach((row, at) => console.log(`   ${at === 0 ? dim(line(row)) : line(row)}`.trimEnd()));
}
