/** What a commit does to the tables of the sync, in which order, and the record that it leaves. Pure. */
import { generationKey, parseGenerationKey, planGenerations, replacedNow, retiredStates, type Commit, type Staged } from '@tapline/columnar';
import { streamKey, type StreamDescriptor } from '@tapline/protocol';
import type { SyncRecord } from './checkpoint.js';

/** One step; steps of one stream keep their order, streams do not depend on each other. */
export type Step =
  /** The table of an open generation that gave way. */
  | { readonly do: 'drop'; readonly key: string; readonly generation: number }
  /** Rows into the table of an open generation; without files it is made. `replaces`: it will take the place of the stream's table. */
  | {
      readonly do: 'fill'; readonly stream: StreamDescriptor; readonly key: string; readonly generation: number; readonly replaces: boolean;
      readonly files: readonly Staged[];
    }
  /** Rows into the table that readers see. */
  | { readonly do: 'write'; readonly stream: StreamDescriptor; readonly key: string; readonly files: readonly Staged[] }
  /** An open generation becomes visible: in the place of what was there, or beside it. */
  | { readonly do: 'complete'; readonly stream: StreamDescriptor; readonly key: string; readonly generation: number; readonly replace: boolean };

export interface CommitPlan {
  readonly steps: readonly Step[];
  readonly record: SyncRecord;
  /** States that tell of what the tables no longer hold. */
  readonly retired: readonly string[];
  /** Files whose rows nobody will see. */
  readonly unseen: readonly Staged[];
}

/** `keeps`: of streams with history nothing is left out that was ever visible, though it be for the time of one commit. */
export function planCommit(record: SyncRecord, commit: Commit, keeps: (stream: string) => boolean = () => false): CommitPlan {
  const deferred = Object.fromEntries(Object.keys(record.open).map((key) => [key, []]));
  const plan = planGenerations({ generations: record.generations, minimums: record.open, deferred }, commit);
  const steps: Step[] = [];
  const unseen: Staged[] = [];
  const replaced = (stream: string, generation: number): boolean => !keeps(stream) && replacedNow(plan, stream, generation);
  const completed = new Set(plan.completions.map(({ key }) => key));

  for (const key of Object.keys(record.open)) {
    if (plan.deferred[key] === undefined) steps.push({ do: 'drop', ...placeOf(key) });
  }
  const visible = new Map<string, Staged[]>();
  const filled = new Map<string, Staged[]>();
  for (const file of commit.staged) {
    const stream = streamKey(file.stream);
    const key = generationKey(stream, file.generation);
    if (plan.deferred[key] !== undefined) add(filled, key, file);
    else if (plan.superseded.has(key) || replaced(stream, file.generation)) unseen.push(file);
    else add(visible, stream, file);
  }
  // Rows of an older generation were sent before the one that completes now.
  for (const [key, files] of visible) steps.push({ do: 'write', stream: files[0]!.stream, key, files });
  for (const { stream, generation } of commit.begun) {
    const key = generationKey(streamKey(stream), generation);
    if (plan.deferred[key] !== undefined && !filled.has(key)) filled.set(key, []);
  }
  for (const [key, files] of [...filled].sort(([a], [b]) => parseGenerationKey(a).generation - parseGenerationKey(b).generation)) {
    const place = placeOf(key);
    const stream = files[0]?.stream ?? commit.begun.find((begin) => generationKey(streamKey(begin.stream), begin.generation) === key)!.stream;
    if (completed.has(key) && replaced(place.key, place.generation)) unseen.push(...files);
    else steps.push({ do: 'fill', stream, ...place, replaces: (plan.minimums[key] ?? 0) > 0, files });
  }
  for (const { stream, key, generation, minimum } of plan.completions) {
    const place = placeOf(key);
    if (!replaced(place.key, generation)) steps.push({ do: 'complete', stream, ...place, replace: minimum > 0 });
    else if (record.open[key] !== undefined) steps.push({ do: 'drop', ...place });
  }
  const open = Object.fromEntries(Object.keys(plan.deferred).filter((key) => !completed.has(key)).map((key) => [key, plan.minimums[key] ?? 0]));
  return {
    steps,
    unseen,
    retired: retiredStates(record.states, plan),
    record: { ...record, seq: commit.seq, stateId: commit.stateId, states: commit.states, generations: plan.generations, open },
  };
}

/** Of an open generation (`stream#generation`). */
export function placeOf(key: string): { readonly key: string; readonly generation: number } {
  const { stream, generation } = parseGenerationKey(key);
  return { key: stream, generation };
}

function add<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
