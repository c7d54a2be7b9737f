/** Several ways to do one thing, measured in one run, and what is printed and kept of it. */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { medianOf, watchMemory, type Measured, type Median } from './measure.js';
import { megabytes, ratio, seconds, withoutOutput } from './report.js';

export interface Contestant {
  /** Makes room for a run. Not measured. */
  readonly prepare?: () => Promise<unknown>;
  readonly run: () => Promise<Measured>;
}

export type Contestants = Readonly<Record<string, Contestant>>;
export type Runs = Readonly<Record<string, readonly Measured[]>>;
type Watched = Pick<Measured, 'peakRssBytes' | 'peakPssBytes' | 'atPeak' | 'cpuOf'>;
export type Medians = Readonly<Record<string, Median>>;

/**
 * One after the other, round after round, so that a slow minute of the machine meets all of them. A first round warms the caches; its times do
 * not count, but what it took of memory does, and the others are not watched for that.
 */
export async function takeTurns(contestants: Contestants, { repetitions, warm = true }: { repetitions: number; warm?: boolean }): Promise<Runs> {
  const runs: Record<string, Measured[]> = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
  const watched: Record<string, Watched> = {};
  for (let round = warm ? 0 : 1; round <= repetitions; round++) {
    watchMemory(!warm || round === 0);
    for (const [name, { prepare, run }] of Object.entries(contestants)) {
      await prepare?.();
      // What the one before has written, or its server, goes to the disk now, not while this one is timed.
      execFileSync('sync');
      const measured = await run();
      if (round > 0) runs[name]!.push({ ...measured, ...watched[name] });
      else watched[name] = { peakRssBytes: measured.peakRssBytes, peakPssBytes: measured.peakPssBytes, atPeak: measured.atPeak, cpuOf: measured.cpuOf };
    }
    process.stdout.write('.');
  }
  watchMemory(true);
  console.log();
  return runs;
}

export const mediansOf = (runs: Runs): Medians => Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, medianOf(all)]));

/**
 * Seconds below which the whole cannot come: its parts run alone, at the same time on all cores. The slowest part's wall, or the CPU of all
 * parts and of the server over the cores, whichever is more.
 */
export function physicalLimit(medians: Medians, parts: readonly string[]): number {
  const each = parts.map((name) => medians[name]!);
  const cpu = each.reduce((sum, { cpuSeconds, postgresCpuSeconds }) => sum + cpuSeconds + postgresCpuSeconds, 0);
  return Math.max(...each.map(({ wallSeconds }) => wallSeconds), cpu / availableParallelism());
}

export interface Table {
  readonly medians: Medians;
  readonly rows: number;
  /** Of what `rows` are as text: what MB/s counts. */
  readonly bytes: number;
  /** What a rate counts. Default: rows. */
  readonly unit?: string;
  /** Heading, and the seconds that a wall is divided by. */
  readonly ratios: Readonly<Record<string, number>>;
}

/** Wall, CPU, peak memory of the tree, rates and ratios; the first line is the heading. */
export function comparisonTable({ medians, rows, bytes, unit = 'rows', ratios }: Table): string[][] {
  return [
    ['', 'wall', ...Object.keys(ratios), `${unit}/s`, 'MB/s', 'CPU', 'CPU postgres', 'peak RSS', 'peak PSS'],
    ...Object.entries(medians).map(([name, m]) => [
      name, seconds(m.wallSeconds), ...Object.values(ratios).map((base) => ratio(m.wallSeconds / base)),
      Math.round(rows / m.wallSeconds).toLocaleString('en'), (bytes / m.wallSeconds / 1e6).toFixed(0),
      seconds(m.cpuSeconds), seconds(m.postgresCpuSeconds), megabytes(m.peakRssBytes), megabytes(m.peakPssBytes),
    ]),
  ];
}

/** Where the CPU of a run went and who held the memory, a line each. */
export function profileOf(name: string, runs: Runs): string[] {
  const last = runs[name]?.at(-1);
  const parts = (of: Readonly<Record<string, number>> | undefined, format: (value: number) => string) =>
    Object.entries(of ?? {}).sort(([, a], [, b]) => b - a).map(([process, value]) => `${process} ${format(value)}`).join(', ');
  return [`${name}, the first run: CPU ${parts(last?.cpuOf, seconds)}; at the peak ${parts(last?.atPeak, megabytes)}`];
}

/** As they are kept. */
export const keptRuns = (runs: Runs): Record<string, object[]> => Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, all.map(withoutOutput)]));
