/**
 * What the head protocol needs of a place that keeps objects. Names are relative to the store's root, parts joined by `/`.
 * Every method rejects with a ConnectorError that a user can act on; a method that resolved is durable.
 */
export interface ObjectStore extends AsyncDisposable {
  /** For messages: `s3://lake/raw`, `/data/lake`. */
  readonly location: string;

  /** The newest head of the sync whose folder this is, or undefined if it never had one. */
  readHead(folder: string): Promise<StoredHead | undefined>;
  /**
   * Replaces the head if it still is the one of `version` (undefined: if there is none). `unsure` = it may have
   * happened or not: a refusal may be the answer to a repetition of our own request. The caller reads and compares nonces.
   */
  replaceHead(folder: string, next: NewHead, version: string | undefined): Promise<HeadOutcome>;
  /** Throws a `config_error` if two writers could replace one head. Leaves nothing behind. */
  probeFencing(): Promise<void>;

  /** Uploads a local file of any size. */
  putFile(name: string, path: string, bytes: number): Promise<void>;
  putText(name: string, text: string): Promise<void>;
  /** Undefined if there is no such object. */
  getText(name: string): Promise<string | undefined>;
  /**
   * Gives the object another name, replacing what is there. `absent` = there is no object `from`. Repeating it is harmless. It may have both
   * names until `done` resolves, which is to be waited for.
   */
  move(from: string, to: string): Promise<{ readonly done: Promise<void> } | 'absent'>;
  exists(name: string): Promise<boolean>;
  /** Deleting what is not there is no error. */
  delete(name: string): Promise<void>;
  /** All names that begin with `prefix`, which ends in `/`, in no order. */
  list(prefix: string): AsyncIterable<string>;
  /** Names of the folders directly below `prefix`, which ends in `/`. */
  listFolders(prefix: string): Promise<string[]>;
  /** Ends the unfinished uploads below `prefix` whose name `mayGo`; a store that knows none does nothing. */
  abortUploads(prefix: string, mayGo: (name: string) => boolean): Promise<void>;
}

export interface StoredHead {
  readonly text: string;
  /** Opaque: an ETag, a number. */
  readonly version: string;
}

export interface NewHead {
  readonly text: string;
  /** Stands in the text, too; different for every head ever written. */
  readonly nonce: string;
}

export type HeadOutcome = { readonly replaced: true; readonly version: string } | { readonly replaced: false; readonly cause?: unknown };
