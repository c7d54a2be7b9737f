import type { BenchBucket } from '../bench-bucket.js';
import type { Contestant } from '../comparison.js';

/** Somebody else's program that brings the table of the benches out of PostgreSQL. */
export interface Peer extends Contestant {
  /** With its version and what was chosen. */
  readonly name: string;
  /** What the last run wrote, as DuckDB reads it: after FROM. */
  rows(): Promise<string> | string;
}

export interface PeerWorld {
  /** Of a database with the table `public.events`; user and password are plain words, as not everybody decodes a URI. */
  readonly url: string;
  /** A folder of the peer's own, also its HOME. */
  readonly dir: string;
  readonly postgresPid: number;
  /** For who writes nowhere else. Started when first asked for. */
  bucket(): Promise<BenchBucket>;
}

/** Installs what it takes. Rejects with the reason where it is not to be had. */
export type FindPeers = (world: PeerWorld) => Promise<readonly Peer[]>;
