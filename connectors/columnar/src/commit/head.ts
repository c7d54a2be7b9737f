/**
 * The head: the only truth about a sync at its destination. What readers see, what is still invisible, how far the
 * source has come, and whose turn it is, in one document that is replaced as a whole.
 */
import { configError } from '@tapline/protocol';
import { z } from 'zod';

/** Part of a {@link LongList}. */
export interface Segment<T> {
  readonly entries: readonly T[];
  /** Name of the object that holds the entries; undefined = they stand in the head. */
  readonly stored?: string;
}
/** A list that may grow long: how it is kept out of the head then, `long-list.ts` tells. */
export type LongList<T> = readonly Segment<T>[];

/** A durable object and the name that readers will know it by. */
export interface Move {
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  readonly rows: number;
}

export interface Head {
  /** Different for every head ever written: tells after a lost answer whether ours was the one that counted. */
  readonly nonce: string;
  /** The nonce of the head this one replaced; '' for the first. */
  readonly previous: string;
  /** One more with every writer. */
  readonly epoch: number;
  /** One more with every commit. */
  readonly seq: number;
  readonly state_id: number;
  readonly source: string;
  readonly states: LongList<string>;
  /** Highest generation seen, by stream key. */
  readonly generations: Readonly<Record<string, number>>;
  /** For each open generation (`stream#generation`): rows of lower generations leave when it completes. */
  readonly minimums: Readonly<Record<string, number>>;
  /** What this commit makes visible, in the order in which it appears. */
  readonly publish: LongList<Move>;
  /** Open generations (`stream#generation`) and their files, durable and not visible. */
  readonly deferred: Readonly<Record<string, LongList<Move>>>;
  /** What goes once `publish` is done. */
  readonly delete: LongList<string>;
}

/** Part of a list that lies in an object of its own, named by the hash of its bytes. */
const StoredPart = z.strictObject({ list: z.string(), entries: z.number() });
const MoveForm = z.object({ from: z.string(), to: z.string(), bytes: z.number(), rows: z.number() });
const moves = z.array(z.union([StoredPart, MoveForm]));
const texts = z.array(z.union([StoredPart, z.string()]));

/** `head.json` as it stands in the store. Unknown members are kept out: a head is always written whole. */
export const HeadDocument = z.object({
  v: z.literal(1),
  nonce: z.string(),
  previous: z.string().default(''),
  epoch: z.number(),
  seq: z.number(),
  state_id: z.number(),
  source: z.string(),
  states: texts,
  generations: z.record(z.string(), z.number()),
  minimums: z.record(z.string(), z.number()).default({}),
  publish: moves,
  deferred: z.record(z.string(), moves),
  delete: texts,
});
export type HeadDocument = z.infer<typeof HeadDocument>;
export type StoredPart = z.infer<typeof StoredPart>;

export const emptyHead: Head = {
  nonce: '', previous: '', epoch: 0, seq: 0, state_id: 0, source: '', states: [], generations: {}, minimums: {}, publish: [], deferred: {}, delete: [],
};

export function parseHead(text: string, where: string): HeadDocument {
  const json = parseJson(text);
  const parsed = HeadDocument.safeParse(json);
  if (parsed.success) return parsed.data;
  const version = (json as { v?: unknown } | undefined)?.v;
  if (typeof version === 'number' && version !== 1) {
    throw configError(`the head at ${where} has version ${version}, this program writes version 1: update Tapline`, { code: 'head_version' });
  }
  throw configError(`the head at ${where} is damaged. Restore it from a version or a backup: without it, it is not known which files count`, {
    code: 'head_damaged', internalMessage: parsed.error.message,
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The key of an open generation. A stream key may hold `#`, a number does not. */
export const generationKey = (stream: string, generation: number): string => `${stream}#${generation}`;

export function parseGenerationKey(key: string): { stream: string; generation: number } {
  const at = key.lastIndexOf('#');
  return { stream: key.slice(0, at), generation: Number(key.slice(at + 1)) };
}
