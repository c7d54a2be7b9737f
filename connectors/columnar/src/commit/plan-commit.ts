/** What a commit makes of a head. Pure: nothing here reads or writes the store. */
import { configError, streamKey, summarizeState, systemError, type StreamDescriptor } from '@tapline/protocol';
import type { Commit, Staged } from '../sink.js';
import { generationKey, parseGenerationKey, type Head, type LongList, type Move } from './head.js';
import { concat, entriesOf, listOf, storedNames } from './long-list.js';
import { fileName, streamFolder } from './names.js';

/** A generation that becomes visible with this commit. */
export interface Completion {
  readonly stream: StreamDescriptor;
  readonly key: string;
  readonly generation: number;
  /** Files of lower generations leave; 0 = none. */
  readonly minimum: number;
}

/** The generations as this commit leaves them, before its files are placed. */
export interface Generations {
  readonly generations: Record<string, number>;
  readonly minimums: Record<string, number>;
  readonly deferred: Record<string, LongList<Move>>;
  /** Generation keys that were open or begun, and gave way to a higher one: their files are nobody's. */
  readonly superseded: ReadonlySet<string>;
  readonly dropped: readonly string[];
  readonly completions: readonly Completion[];
  /** Streams that start anew: a state from before does not describe what they hold. */
  readonly restarted: ReadonlySet<string>;
}

export function planGenerations(head: Pick<Head, 'generations' | 'minimums' | 'deferred'>, { begun, completed, staged }: Commit): Generations {
  const generations = { ...head.generations };
  const minimums = { ...head.minimums };
  const deferred = { ...head.deferred };
  const superseded = new Set<string>();
  const restarted = new Set<string>();
  const dropped: string[] = [];
  const ends = new Set(completed.flatMap(({ generation, ...stream }) => (generation === undefined ? [] : generationKey(streamKey(stream), generation))));
  for (const { stream, generation, minimum } of begun) {
    const key = streamKey(stream);
    const open = generationKey(key, generation);
    if (deferred[open] === undefined) {
      const known = generations[key] ?? 0;
      if (generation < known) {
        throw configError(
          `generation ${generation} of stream ${key} begins, but the destination holds generation ${known} of it already. Generations only rise: reset the sync, or write to another prefix`,
          { code: 'generation_behind', stream },
        );
      }
      for (const other of openKeysOf(deferred, key)) {
        if (ends.has(other)) continue;
        dropped.push(...entriesOf(deferred[other]!).map((move) => move.from));
        superseded.add(other);
        delete deferred[other];
        delete minimums[other];
      }
      deferred[open] = [];
      restarted.add(key);
      superseded.delete(open);
    }
    generations[key] = generation;
    minimums[open] = minimum;
  }
  for (const { stream, generation } of staged) {
    const key = streamKey(stream);
    generations[key] = Math.max(generations[key] ?? 0, generation);
  }
  const completions = completed.flatMap(({ generation, ...stream }): Completion[] =>
    openKeysOf(deferred, streamKey(stream))
      .map((key) => ({ stream, key, generation: parseGenerationKey(key).generation, minimum: minimums[key] ?? 0 }))
      .filter((completion) => generation === undefined || completion.generation === generation));
  return { generations, minimums, deferred, superseded, dropped, completions, restarted };
}

const openKeysOf = (deferred: Readonly<Record<string, unknown>>, stream: string): string[] =>
  Object.keys(deferred).filter((key) => parseGenerationKey(key).stream === stream);

export interface CommitInput {
  readonly commit: Commit;
  readonly sync8: string;
  readonly source: string;
  /** What leaves besides: published files that {@link Generations.completions} replace, staged ones that nobody wants. */
  readonly leaving: readonly string[];
}

/** The next head, but for its nonce. */
export function planCommit(head: Head, plan: Generations, { commit, sync8, source, leaving }: CommitInput): Head {
  const deferred = { ...plan.deferred };
  const minimums = { ...plan.minimums };
  const goes = [...leaving, ...plan.dropped];
  const visible: Move[] = [];
  const invisible = new Map<string, Move[]>();
  for (const { file, move } of nameFiles(commit, sync8)) {
    const stream = streamKey(file.stream);
    const key = generationKey(stream, file.generation);
    if (deferred[key] !== undefined) invisible.set(key, [...(invisible.get(key) ?? []), move]);
    else if (plan.superseded.has(key) || replacedNow(plan, stream, file.generation)) goes.push(move.from);
    else visible.push(move);
  }
  for (const [key, moves] of invisible) deferred[key] = concat(deferred[key]!, listOf(moves));
  const completed = plan.completions.flatMap(({ key, stream, generation }) => {
    const moves = deferred[key]!;
    delete deferred[key];
    delete minimums[key];
    if (!replacedNow(plan, streamKey(stream), generation)) return [moves];
    goes.push(...entriesOf(moves).map((move) => move.from));
    return [];
  });
  const next: Head = {
    ...head,
    seq: commit.seq,
    state_id: commit.stateId,
    source,
    states: listOf(commit.states),
    generations: plan.generations,
    minimums,
    publish: concat(...completed, listOf(visible)),
    deferred,
    delete: listOf(goes),
  };
  const kept = storedNames(next);
  return { ...next, delete: concat(next.delete, listOf([...storedNames(head)].filter((name) => !kept.has(name)))) };
}

/** Rows of a generation that another one, completed by this same commit, replaces. */
export const replacedNow = ({ completions }: Pick<Generations, 'completions'>, stream: string, generation: number): boolean =>
  completions.some(({ stream: completed, minimum }) => streamKey(completed) === stream && generation < minimum);

/**
 * The final name of each staged file. It carries the seq of the commit that made the file durable, even if the file
 * appears only with a later one: a seq is committed once, and its parts are numbered within the folder, so no two
 * files ever share a name, whenever they are published. (Folders that differ in case only share the numbers: on some
 * disks they are one folder.)
 */
function nameFiles({ staged, seq }: Commit, sync8: string): { file: Staged; move: Move }[] {
  const parts = new Map<string, number>();
  return staged.map((file) => {
    const folder = streamFolder(file.stream);
    const part = parts.get(folder.toLowerCase()) ?? 0;
    parts.set(folder.toLowerCase(), part + 1);
    const hive = file.partition === '' ? '' : `${file.partition}/`;
    if (hive !== '' && !file.partition.split('/').every((name) => name.includes('='))) {
      throw systemError(`the partition of a file of stream ${streamKey(file.stream)} is not of the form key=value`, { stream: file.stream });
    }
    const to = `${folder}${hive}${fileName({ sync8, generation: file.generation, seq, part })}`;
    return { file, move: { from: file.name, to, bytes: file.bytes, rows: file.rows } };
  });
}

/** Those of the states held so far that must not be held on, because they tell of what it no longer holds. */
export function retiredStates(states: readonly string[], { restarted }: Pick<Generations, 'restarted'>): string[] {
  if (restarted.size === 0) return [];
  return states.filter((state) => {
    const { kind, key } = summarizeState(state);
    return kind === 'STREAM' && restarted.has(key);
  });
}
