import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { workspaceRoot } from '../services/index.js';
import type { Measured } from './measure.js';

export const seconds = (value: number): string => `${value.toFixed(2)} s`;
export const megabytes = (value: number): string => `${(value / 1e6).toFixed(0)} MB`;
export const ratio = (value: number): string => `${value.toFixed(2)}x`;
export const count = (value: number): string => value.toLocaleString('en');

export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) console.log(row.map((text, at) => (at === 0 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0))).join('   '));
}

/** What is to be reached. */
export interface Bar {
  readonly what: string;
  readonly value: number;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** Default: a ratio. */
  readonly as?: (value: number) => string;
}

export interface Report {
  /** Of its file, and of its place in docs/performance.md. */
  readonly scenario: string;
  /** What was measured: how many rows, how often. */
  readonly title: string;
  /** The first line is the heading. */
  readonly table: readonly (readonly string[])[];
  readonly notes?: readonly string[];
  readonly bars?: readonly Bar[];
  /** The numbers themselves. */
  readonly figures: object;
  /** A smoke test keeps no results, and is too small to be held to a bar. Default: yes. */
  readonly save?: boolean;
}

/** Prints what was found and keeps it. A bar that was missed is told, and is the exit code of the process. */
export async function report({ scenario, title, table, notes = [], bars = [], figures, save = true }: Report): Promise<void> {
  console.log(`\n${scenario}: ${title}\n`);
  printTable(table);
  const reached = bars.map(tellBar);
  for (const line of [...notes, ...reached]) console.log(`\n${line}`);
  if (save && bars.some((bar) => !isReached(bar))) process.exitCode = 1;
  if (save) await saveResult(scenario, { title, table, notes, bars: reached, ...figures });
}

const isReached = ({ value, atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY }: Bar): boolean => value <= atMost && value >= atLeast;

function tellBar(bar: Bar): string {
  const { what, value, atMost, atLeast, as = ratio } = bar;
  const wanted = [...(atLeast === undefined ? [] : [`at least ${as(atLeast)}`]), ...(atMost === undefined ? [] : [`at most ${as(atMost)}`])].join(', ');
  return `${isReached(bar) ? 'Reached' : 'MISSED'}: ${what} ${as(value)}; to be ${wanted}`;
}

/** Beside the numbers, what they depend on. */
export async function saveResult(scenario: string, result: object): Promise<void> {
  await mkdir(resultsDir, { recursive: true });
  const at = new Date().toISOString();
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, memoryBytes: totalmem(), node: process.version };
  const file = join(resultsDir, `${scenario}-${at.replaceAll(/[:.]/g, '-')}.json`);
  await writeFile(file, `${JSON.stringify({ scenario, at, commit: commit(), machine, ...result }, undefined, 2)}\n`);
  console.log(`\n${file.slice(workspaceRoot.length + 1)}`);
}

export const resultsDir: string = join(workspaceRoot, 'test', 'bench', 'results');

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
