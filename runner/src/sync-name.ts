/** What a sync is called, and where its state lies. The exact bytes are a contract: docs/cli.md, "The name of a sync". */
import { configError } from '@tapline/protocol';
import { createHash } from 'node:crypto';

/** What tells two ends apart: the connector's name first, then its place. Never a user, a password, or options. */
export interface EndIdentity {
  /** `postgres`, `s3`, or the name of an executable. */
  readonly connector: string;
  /** Source: [host, port, database], or [absolute path]. Destination: [endpoint, bucket, prefix], or [absolute path]. */
  readonly place: readonly string[];
}

/** `<source>-to-<dest>-` and 8 hex of the SHA-256 over the UTF-8 bytes of `JSON.stringify([source, …place, dest, …place])`. */
export function derivedSyncName(source: EndIdentity, destination: EndIdentity): string {
  const bytes = JSON.stringify([source.connector, ...source.place, destination.connector, ...destination.place]);
  return `${source.connector}-to-${destination.connector}-${hex8(bytes)}`;
}

/** As it stands in object names: the first 8 hex of the SHA-256 of the sync's name. */
export const sync8 = (sync: string): string => hex8(sync);

/** A sync's name is a folder's and an object's: letters, digits, `.`, `_` and `-`. Throws a `config_error`. */
export function requireSyncName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) return name;
  throw configError(
    `'${name}' cannot be the name of a sync: take letters, digits, '.', '_' and '-', at most 100, beginning with a letter or a digit`,
    { code: 'bad_sync_name' },
  );
}

/** The part of a name that an executable's file name gives: `/x/source-faker.py` is `faker`. */
export function connectorNameOf(path: string): string {
  const base = path.split(/[\\/]/).at(-1)!.replace(/\.[A-Za-z0-9]+$/, '').replace(/^(source|destination)-(?=.)/, '');
  return base.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^[-_]+|-+$/g, '').slice(0, 40) || 'connector';
}

const hex8 = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);
