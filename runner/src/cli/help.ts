/** `--help`: examples first. Imports nothing but the table, for it must be there at once. */
import { commands, flags } from './command-table.js';

export function generalHelp(): string {
  return `Tapline moves data from operational systems into lakes and warehouses.

Start here:
  runner sync --source postgres://app@localhost/shop --dest ./lake
      all tables of a database into a folder of Parquet files; run it again to bring them up to date
  runner sync --source postgres://app@localhost/shop --dest s3://lake/raw --mode public.orders=incremental:updated_at
      only the new and changed rows of orders, into a bucket
  runner sync --source postgres://app@localhost/shop --dest duckdb:warehouse.db
      tables of a DuckDB file; --dest postgres://… writes into another server
  runner discover --source postgres://app@localhost/shop
      what there is
  runner init
      write it down: a commented tapline.yaml; then 'runner sync NAME'

Commands:
${Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`).join('\n')}

'runner COMMAND --help' tells more; 'tapline' is the same program.
Exit codes: 0 all is well, 75 try again later, 78 somebody has to act (the message says what), 130 interrupted, 1 and 76 a fault.
`;
}

export function commandHelp(name: string): string {
  const command = commands[name]!;
  const width = 2 + Math.max(...[...command.flags, 'help'].map((flag) => title(flag).length));
  const parts = [
    `runner ${command.usage}\n  ${command.summary}`,
    ...(command.examples.length > 0 ? [`Examples:\n${command.examples.map(([line, why]) => `  ${line}\n      ${why}`).join('\n')}`] : []),
    `Flags:\n${[...command.flags, 'help'].map((flag) => `  ${title(flag).padEnd(width)}${flags[flag]!.help}`).join('\n')}`,
    ...(command.notes ? [command.notes.join('\n')] : []),
  ];
  return `${parts.join('\n\n')}\n`;
}

function title(name: string): string {
  const flag = flags[name]!;
  return `--${name}${flag.value ? ` ${flag.value}` : ''}${flag.repeatable ? ' …' : ''}`;
}
