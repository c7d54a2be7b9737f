/**
 * Lists that may grow long (the files of a first snapshot). A list is a row of segments; a segment that was moved
 * into an object of its own is written once and named by every later head, wherever its entries go: from `deferred`
 * to `publish` it is the same object.
 */
import { createHash, randomUUID } from 'node:crypto';
import { systemError } from '@tapline/protocol';
import { z } from 'zod';
import type { Head, HeadDocument, LongList, Move, Segment, StoredPart } from './head.js';
import type { ObjectStore } from './object-store.js';

export const listOf = <T>(entries: readonly T[]): LongList<T> => (entries.length === 0 ? [] : [{ entries }]);
export const entriesOf = <T>(list: LongList<T>): T[] => list.flatMap((segment) => segment.entries as T[]);
export const lengthOf = (list: LongList<unknown>): number => list.reduce((sum, segment) => sum + segment.entries.length, 0);

/** Neighbours that stand in the head become one segment. */
export function concat<T>(...lists: readonly LongList<T>[]): LongList<T> {
  const result: Segment<T>[] = [];
  for (const segment of lists.flat()) {
    const last = result.at(-1);
    if (last && last.stored === undefined && segment.stored === undefined) result[result.length - 1] = { entries: [...last.entries, ...segment.entries] };
    else result.push(segment);
  }
  return result;
}

/** Above this a head's longest inline segments move into objects beside it. */
const maxHeadBytes = 1_000_000;

/**
 * The head as text, long lists stored first. Objects are named by the hash of their bytes, below the writer's epoch,
 * and hold a nonce: no name is ever used twice, so that deleting one late can harm nobody.
 */
export async function writeHead(store: ObjectStore, folder: string, head: Head): Promise<{ head: Head; text: string }> {
  let text = JSON.stringify(toDocument(head));
  while (Buffer.byteLength(text) > maxHeadBytes) {
    const longest = inlineSegments(head).sort((a, b) => b.bytes - a.bytes)[0];
    // Below that the head is big for another reason (very many streams), and stays so.
    if (!longest || longest.bytes < 10_000) break;
    const stored = await storeEntries(store, folder, head.epoch, longest.segment.entries);
    head = mapLists(head, (list) => list.map((segment) => (segment === longest.segment ? { entries: segment.entries, stored } : segment)));
    text = JSON.stringify(toDocument(head));
  }
  return { head, text };
}

export const listsFolder = (folder: string): string => `${folder}lists/`;

async function storeEntries(store: ObjectStore, folder: string, epoch: number, entries: readonly unknown[]): Promise<string> {
  const text = JSON.stringify({ nonce: randomUUID(), entries });
  const name = `${listsFolder(folder)}${epoch}/${createHash('sha256').update(text).digest('hex')}.json`;
  await store.putText(name, text);
  return name;
}

/** The objects that hold parts of a head's lists. */
export function storedNames(head: Head): Set<string> {
  return new Set(allLists(head).flatMap((list) => list.flatMap((segment) => segment.stored ?? [])));
}

export function toDocument(head: Head): HeadDocument {
  const inline = <T>(list: LongList<T>): (T | StoredPart)[] =>
    list.flatMap((segment): (T | StoredPart)[] =>
      segment.stored === undefined ? [...segment.entries] : [{ list: segment.stored, entries: segment.entries.length }]);
  return {
    v: 1, nonce: head.nonce, previous: head.previous, epoch: head.epoch, seq: head.seq, state_id: head.state_id, source: head.source,
    states: inline(head.states), generations: head.generations, minimums: head.minimums, publish: inline(head.publish),
    deferred: Object.fromEntries(Object.entries(head.deferred).map(([key, list]) => [key, inline(list)])),
    delete: inline(head.delete),
  };
}

/** A head with all its lists, wherever they lie. */
export async function loadHead(store: ObjectStore, document: HeadDocument): Promise<Head> {
  const { v: _, ...rest } = document;
  const deferred: Record<string, LongList<Move>> = {};
  for (const [key, list] of Object.entries(document.deferred)) deferred[key] = await load(store, list);
  return {
    ...rest,
    states: await load(store, document.states),
    publish: await load(store, document.publish),
    deferred,
    delete: await load(store, document.delete),
  };
}

async function load<T>(store: ObjectStore, list: readonly (T | StoredPart)[]): Promise<LongList<T>> {
  const parts: LongList<T>[] = [];
  for (const part of list) {
    if (!isStored(part)) parts.push([{ entries: [part] }]);
    else parts.push([{ entries: await readEntries<T>(store, part), stored: part.list }]);
  }
  return concatMany(parts);
}

/** {@link concat} in one pass: a head may hold thousands of entries. */
function concatMany<T>(lists: readonly LongList<T>[]): LongList<T> {
  const result: { entries: T[]; stored?: string }[] = [];
  for (const { entries, stored } of lists.flat()) {
    const last = result.at(-1);
    if (stored === undefined && last && last.stored === undefined) last.entries.push(...entries);
    else result.push(stored === undefined ? { entries: [...entries] } : { entries: [...entries], stored });
  }
  return result;
}

const isStored = <T>(part: T | StoredPart): part is StoredPart => typeof part === 'object' && part !== null && 'list' in part;
const StoredEntries = z.object({ entries: z.array(z.unknown()) });

async function readEntries<T>(store: ObjectStore, part: StoredPart): Promise<T[]> {
  const text = await store.getText(part.list);
  const parsed = text === undefined ? undefined : StoredEntries.safeParse(JSON.parse(text));
  if (!parsed?.success || parsed.data.entries.length !== part.entries) {
    throw systemError(`a list that the head names, ${part.list} at ${store.location}, is ${text === undefined ? 'gone' : 'damaged'}: restore it from a version or a backup`, {
      code: 'head_list_gone',
    });
  }
  return parsed.data.entries as T[];
}

const allLists = (head: Head): LongList<unknown>[] => [head.states, head.publish, head.delete, ...Object.values(head.deferred)];

function inlineSegments(head: Head): { segment: Segment<unknown>; bytes: number }[] {
  return allLists(head).flatMap((list) =>
    list.filter((segment) => segment.stored === undefined).map((segment) => ({ segment, bytes: Buffer.byteLength(JSON.stringify(segment.entries)) })));
}

function mapLists(head: Head, map: <T>(list: LongList<T>) => LongList<T>): Head {
  return {
    ...head,
    states: map(head.states),
    publish: map(head.publish),
    delete: map(head.delete),
    deferred: Object.fromEntries(Object.entries(head.deferred).map(([key, list]) => [key, map(list)])),
  };
}
