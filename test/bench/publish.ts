/** docs/performance.md holds the tables of the newest results: between `<!-- bench NAME -->` and `<!-- /bench -->`. */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { workspaceRoot } from '../services/index.js';
import { resultsDir, seconds } from './report.js';

interface Result {
  readonly at: string;
  readonly commit: string;
  readonly machine: { readonly cpus: number; readonly model?: string; readonly memoryBytes: number; readonly node: string };
  readonly title?: string;
  readonly table?: readonly (readonly string[])[];
  readonly notes?: readonly string[];
  readonly bars?: readonly string[];
  readonly medians?: Readonly<Record<string, { wallSeconds: number; cpuSeconds: number }>>;
}

/** Puts the newest result of each scenario into its place. What has no result stays as it is, and is told. */
export async function publish({ file = join(workspaceRoot, 'docs', 'performance.md'), from = resultsDir }: { file?: string; from?: string } = {}): Promise<void> {
  const results = await newest(from);
  const text = await readFile(file, 'utf8');
  const written = text.replaceAll(/(<!-- bench ([\w-]+) -->\n)[\s\S]*?(<!-- \/bench -->)/g, (whole: string, begin: string, scenario: string, end: string) => {
    const result = results.get(scenario);
    console.log(`${scenario}: ${result ? result.at : 'no result: its table stays as it is'}`);
    return result ? `${begin}${markdown(result)}\n${end}` : whole;
  });
  await writeFile(file, written);
}

async function newest(from: string): Promise<Map<string, Result>> {
  const results = new Map<string, Result>();
  // Names end in the time: the last of a scenario is its newest.
  for (const name of (await readdir(from).catch(() => [])).sort((a, b) => (a < b ? -1 : 1))) {
    const scenario = /^(.+)-\d{4}-\d\d-\d\dT[\d-]+Z\.json$/.exec(name)?.[1];
    if (scenario) results.set(scenario, JSON.parse(await readFile(join(from, name), 'utf8')) as Result);
  }
  return results;
}

function markdown({ at, commit, machine, title, table, notes = [], bars = [], medians = {} }: Result): string {
  const [head = [], ...lines] = table ?? [['', 'wall', 'CPU'], ...Object.entries(medians).map(([name, m]) => [name, seconds(m.wallSeconds), seconds(m.cpuSeconds)])];
  const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const hardware = `${machine.cpus} cores (${machine.model ?? 'unknown'}), ${Math.round(machine.memoryBytes / 2 ** 30)} GB, Node ${machine.node.slice(1)}`;
  const capital = title === undefined ? '' : `${title[0]?.toUpperCase()}${title.slice(1)}. `;
  return [
    `${capital}${at.slice(0, 10)}, ${commit}, ${hardware}.`, '',
    row(head), `|---|${head.slice(1).map(() => '---:|').join('')}`, ...lines.map(row),
    ...[...bars, ...notes].flatMap((line, index) => [...(index === 0 ? [''] : []), `- ${line}`]),
  ].join('\n');
}
