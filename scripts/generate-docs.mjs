/**
 * Writes the table of options in each connector's README from its spec.json, between the two markers.
 * `node scripts/generate-docs.mjs --check` writes nothing and exits 1 if a table is not current.
 */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const connectors = fileURLToPath(new URL('../connectors', import.meta.url));
const begin = '<!-- options: generated from spec.json by scripts/generate-docs.mjs -->';
const end = '<!-- /options -->';
const check = process.argv.includes('--check');
let stale = 0;

for (const name of (await readdir(connectors)).sort()) {
  const spec = await readFile(join(connectors, name, 'spec.json'), 'utf8').catch(() => undefined);
  if (!spec) continue;
  const file = join(connectors, name, 'README.md');
  const text = await readFile(file, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to === -1) throw new Error(`${name}/README.md lacks the markers of the options table`);
  const updated = `${text.slice(0, from + begin.length)}\n${table(JSON.parse(spec).connectionSpecification)}${text.slice(to)}`;
  if (updated === text) continue;
  if (check) console.error(`connectors/${name}/README.md: the options are not those of spec.json; run \`node scripts/generate-docs.mjs\``);
  else await writeFile(file, updated);
  stale += 1;
}
if (check && stale > 0) process.exitCode = 1;

/** One row an option: name, type with default, what it does. */
function table(schema) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([name, option]) => {
    const notes = [option.description ?? '', required.has(name) ? '**Required.**' : '', option.airbyte_secret ? 'Secret.' : ''];
    return `| \`${name}\` | ${typeOf(option)} | ${defaultOf(option)} | ${cell(notes.filter(Boolean).join(' '))} |`;
  });
  return ['| option | type | default | what it does |', '|---|---|---|---|', ...rows, ''].join('\n');
}

function typeOf(option) {
  if (option.enum) return option.enum.map((value) => `\`${value}\``).join(', ');
  if (option.const !== undefined) return `\`${option.const}\``;
  if (option.type === 'array') return `list of ${typeOf(option.items ?? {})}`;
  if (option.properties) return `object: ${Object.entries(option.properties).map(([name, part]) => `\`${name}\` (${typeOf(part)})`).join('; ')}`;
  const alternatives = option.anyOf ?? option.oneOf;
  if (alternatives) return alternatives.map(typeOf).join(' or ');
  return String(option.type ?? 'any');
}

function defaultOf(option) {
  return option.default === undefined ? '' : `\`${JSON.stringify(option.default)}\``;
}

function cell(text) {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
