/** The versions of keys as they follow from the whole log, in plain code. */
import type { LogEntry } from './changes.test.support.js';

export interface Version {
  readonly key: number;
  readonly entry: LogEntry;
  readonly from: number;
  readonly to: number | null;
}

/** `replaced`: generations that took the place of the one before. `known`: entries that were delivered. */
export function versionsOf(known: readonly LogEntry[], replaced: ReadonlySet<number>): Version[] {
  const begins = new Map([...replaced].map((generation) => [generation, Math.min(...known.filter((entry) => entry.generation === generation).map(({ time }) => time))]));
  const versions: Version[] = [];
  for (const key of new Set(known.map((entry) => entry.key))) {
    const mine = known.filter((entry) => entry.key === key).sort((a, b) => a.generation - b.generation || (a.order < b.order ? -1 : 1));
    // A generation that replaces and does not have the key ends it where it begins.
    const ends = [...replaced].filter((generation) => !mine.some((entry) => entry.generation === generation)).map((generation) => ({ generation, time: begins.get(generation)! }));
    const steps = [...mine.map((entry) => ({ generation: entry.generation, time: entry.time, entry })), ...ends.map((end) => ({ ...end, entry: undefined }))]
      .sort((a, b) => a.generation - b.generation || (a.entry === undefined || b.entry === undefined ? 0 : a.entry.order < b.entry.order ? -1 : 1));
    let floor = -Infinity;
    let open: Version | undefined;
    const close = (at: number): void => {
      if (open) versions.push({ ...open, to: at });
      open = undefined;
    };
    steps.forEach((step, i) => {
      // An end is felt by a living key alone.
      if (step.entry === undefined && !open) return;
      floor = Math.max(floor, step.time);
      const next = steps[i + 1]?.entry;
      const same = step.entry && next && next.generation === step.generation && next.time === step.time && next.order.slice(0, 16) === step.entry.order.slice(0, 16);
      if (same) return;
      close(floor);
      if (step.entry?.row) open = { key, entry: step.entry, from: floor, to: null };
    });
    if (open) versions.push(open);
  }
  return versions;
}
