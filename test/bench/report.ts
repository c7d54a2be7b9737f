import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { workspaceRoot } from '../services/index.js';
import type { Measured } from './measure.js';

export const seconds = (value: number): string => `${value.toFixed(2)} s`;
export const megabytes = (value: number): string => `${(value / 1e6).toFixed(0)} MB`;
export const ratio = (value: number): string => `${value.toFixed(2)}x`;

export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) console.log(row.map((text, at) => (at === 0 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0))).join('   '));
}

/** Beside the numbers, what they depend on. */
export async function saveResult(scenario: string, result: object): Promise<void> {
  const dir = join(workspaceRoot, 'test', 'bench', 'results');
  await mkdir(dir, { recursive: true });
  const at = new Date().toISOString();
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, memoryBytes: totalmem(), node: process.version };
  const file = join(dir, `${scenario}-${at.replaceAll(/[:.]/g, '-')}.json`);
  await writeFile(file, `${JSON.stringify({ scenario, at, commit: commit(), machine, ...result }, undefined, 2)}\n`);
  console.log(`\n${file.slice(workspaceRoot.length + 1)}`);
}

export function withoutOutput(measured: Measured): object {
  return { ...measured, stdout: undefined };
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { cwd: workspaceRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}
