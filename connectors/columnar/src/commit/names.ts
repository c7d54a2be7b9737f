/** The names of objects: a contract with everybody who globs a lake (docs: connectors/destination-s3/README.md, "Layout"). */
import { createHash } from 'node:crypto';
import { configError, type StreamDescriptor } from '@tapline/protocol';

/** One path segment that is safe in a URL, on a disk, and never looks like one of our own. */
export function segment(name: string): string {
  if (name === '') throw configError('a stream or namespace without a name cannot become a folder', { code: 'empty_name' });
  const encoded = encodeURIComponent(name.replace(/\p{Surrogate}/gu, '\ufffd'));
  if (encoded === '.') return '%2E';
  if (encoded === '..') return '%2E%2E';
  return encoded.startsWith('_tapline') ? `%5F${encoded.slice(1)}` : encoded;
}

/** `public/orders/`: all files of a stream lie in it, or in hive folders (`key=value`) below it. */
export const streamFolder = (stream: StreamDescriptor): string =>
  `${stream.namespace ? `${segment(stream.namespace)}/` : ''}${segment(stream.name)}/`;

export const ownFolders = '_tapline/';
/** `_tapline/shop-to-lake/`: the head and all that is not for readers. */
export const syncFolder = (sync: string): string => `${ownFolders}${segment(sync)}/`;

/** First 8 hex digits of the SHA-256 of the sync's name: tells whose a file is where two syncs write one folder. */
export const sync8 = (sync: string): string => createHash('sha256').update(sync).digest('hex').slice(0, 8);

export interface FileName {
  readonly sync8: string;
  readonly generation: number;
  /** The commit that made it durable. */
  readonly seq: number;
  /** Unique within a folder and seq. */
  readonly part: number;
}

/** `5f0c1a2b-g0003-000000000042-000.parquet`. */
export const fileName = ({ sync8: sync, generation, seq, part }: FileName): string =>
  `${sync}-g${pad(generation, 4)}-${pad(seq, 12)}-${pad(part, 3)}.parquet`;

const form = /^([0-9a-f]{8})-g(\d{4,})-(\d{12,})-(\d{3,})\.parquet$/;

/** The file's name taken apart, if `path` is a file of the stream whose folder is given, and not of a stream below it. */
export function parseFileName(path: string, folder: string): FileName | undefined {
  if (!path.startsWith(folder)) return undefined;
  const parts = path.slice(folder.length).split('/');
  const match = form.exec(parts.pop()!);
  // A name of a stream or namespace never holds `=` once encoded; a hive folder always does.
  if (!match || !parts.every((part) => part.includes('='))) return undefined;
  return { sync8: match[1]!, generation: Number(match[2]), seq: Number(match[3]), part: Number(match[4]) };
}

/** The stream's folder of a published file. */
export function folderOfFile(path: string): string {
  const parts = path.split('/').slice(0, -1);
  while (parts.at(-1)?.includes('=')) parts.pop();
  return `${parts.join('/')}/`;
}

const pad = (number: number, digits: number): string => String(number).padStart(digits, '0');
