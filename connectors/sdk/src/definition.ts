/** What an author writes: a source or a destination as data and generators. `run()` does the rest. */
import type {
  AirbyteStream, BatchFormat, CatalogBody, ConfiguredCatalog, ConfiguredStream, DestinationExtension, LogLevel, RecordChange, Session, SourceExtension,
  StateBody, StreamDescriptor, StreamStatusValue,
} from '@tapline/protocol';
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import type { Output } from './output.js';
import type { Tool } from './tool.js';

export interface Definition<Config> {
  /** `source-…` or `destination-…`: also the name of its executable. */
  readonly name: string;
  readonly version: string;
  readonly documentationUrl?: string;
  /** Its JSON schema becomes the spec; mark secrets with `secret()`. */
  readonly config: z.ZodType<Config>;
  /** Resolves if all is well; what it throws becomes FAILED with the message. */
  check(context: VerbContext<Config>): Promise<void>;
  /**
   * With the extension `start`: loads the code that a run will need, while it is not known yet what is to be done. It must neither open
   * nor change anything; what fails here fails again where it is needed, and is told there.
   */
  prepare?(context: { readonly config: Config; readonly session: Session }): Promise<unknown>;
  /** What else it can be asked, by name: `NAME tool TOOL --config F`. The spec advertises the names. */
  readonly tools?: Readonly<Record<string, Tool<Config>>>;
}

export interface VerbContext<Config> {
  readonly config: Config;
  /** Aborted by SIGTERM and SIGINT: stop at the next boundary. */
  readonly signal: AbortSignal;
  log(level: LogLevel, message: string): void;
}

export interface SourceDefinition<Config> extends Definition<Config> {
  /** Default: `end`, and `ack` where there is a `confirm`; the SDK keeps both. The others are the author's to keep. */
  readonly extensions?: readonly SourceExtension[];
  /** With the extension `batch`: the forms of files that it writes, the one it likes best first. */
  readonly batchFormats?: readonly BatchFormat[];
  discover(context: VerbContext<Config>): Promise<CatalogBody>;
  /**
   * Yields records and states. Pulled: the next item is asked for once the last one has been written.
   * Returning = the end of the data (END in a session, COMPLETE for every stream that was not told otherwise).
   */
  read(context: ReadContext<Config>): AsyncIterable<SourceItem>;
  /**
   * Called in a session for each STATE that is durable at the destination (its body as the source sent it; of several that wait,
   * the newest of each stream), and once at the start with each state of `--state`, before `read`. Never called concurrently.
   * Confirm the position upstream here, and only here. What it throws fails the run.
   */
  confirm?(state: StateBody, context: VerbContext<Config>): Promise<void>;
  /** Called once when `read` has ended, well or not, and no confirmation will come any more: for what `confirm` needed so long. */
  close?(context: VerbContext<Config>): Promise<void>;
}

export interface ReadContext<Config> extends VerbContext<Config> {
  readonly catalog: ConfiguredCatalog;
  /** The state this stream was left at (`stream_state`), or undefined. */
  stateOf(stream: StreamDescriptor): unknown;
  /** The states of all streams, also of those that are not read in this run: who sends GLOBAL states passes on what should be kept. */
  readonly streamStates: readonly { readonly stream: StreamDescriptor; readonly state: unknown }[];
  /** `shared_state` of a GLOBAL state, or the `data` of a LEGACY one. */
  readonly globalState: unknown;
  readonly session: Session | undefined;
}

/** What `read` yields. Make them with `record`, `streamState`, `globalState`, `status`, `failed`, `estimate`, `lines`, `batch`, `schema`, `generation`, `lag`. */
export type SourceItem =
  | { readonly kind: 'record'; readonly stream: StreamDescriptor; readonly data: object; readonly changes?: readonly RecordChange[] | undefined }
  | { readonly kind: 'stream_state'; readonly stream: StreamDescriptor; readonly state: unknown }
  | { readonly kind: 'global_state'; readonly shared: unknown; readonly streams: readonly { readonly stream: StreamDescriptor; readonly state: unknown }[] }
  | { readonly kind: 'status'; readonly stream: StreamDescriptor; readonly status: StreamStatusValue }
  /** This stream failed, the others go on: TRACE ERROR and INCOMPLETE now; the process exits non-zero in the end. */
  | { readonly kind: 'failed'; readonly stream: StreamDescriptor; readonly error: unknown }
  | { readonly kind: 'estimate'; readonly stream: StreamDescriptor; readonly rows?: number; readonly bytes?: number }
  /** Whole RECORD lines of one stream, ends included, already encoded by somebody faster. `stream` sends its STARTED. */
  | { readonly kind: 'lines'; readonly bytes: Buffer; readonly stream?: StreamDescriptor }
  /** Where `session.batch` is: a file of records in its folder. */
  | {
      readonly kind: 'batch'; readonly stream: StreamDescriptor; readonly path: string; readonly bytes: number; readonly rows: number;
      readonly columns: readonly string[]; readonly emittedAt: number;
    }
  /** What follows of this stream has another schema, or the stream is new. */
  | { readonly kind: 'schema'; readonly stream: AirbyteStream; readonly version: number }
  | {
      readonly kind: 'generation'; readonly stream: StreamDescriptor; readonly generation: number; readonly minimum: number;
      readonly phase: 'begin' | 'complete';
    }
  | { readonly kind: 'lag'; readonly bytes?: number; readonly seconds?: number };

export interface DestinationDefinition<Config> extends Definition<Config> {
  /** Only with `consume`. Default: none. */
  readonly extensions?: readonly DestinationExtension[];
  /** With the extension `batch`: the forms of files that it reads. */
  readonly batchFormats?: readonly BatchFormat[];
  readonly syncModes: readonly ('append' | 'overwrite' | 'append_dedup')[];
  /** What to do instead of a mode that is not offered: a sentence for the user, without a full stop. */
  readonly modeAdvice?: Readonly<Record<string, string>>;
  /** The simple form: batches of parsed records. Exactly one of `open` and `consume` is given. */
  open?(context: WriteContext<Config>): Promise<RecordWriter>;
  /** The raw form, for destinations that read bytes: it owns stdin and answers states itself. Resolves when all is committed. */
  consume?(context: RawWriteContext<Config>): Promise<void>;
}

export interface WriteContext<Config> extends VerbContext<Config> {
  readonly catalog: ConfiguredCatalog;
  readonly session: Session | undefined;
}

export interface RawWriteContext<Config> extends WriteContext<Config> {
  readonly input: Readable;
  readonly output: Output;
}

/** `write` resolved = accepted; `flush` resolved = durable, and the states before it go back. Never called concurrently. */
export interface RecordWriter extends AsyncDisposable {
  write(batch: readonly IncomingRecord[]): Promise<void>;
  flush(): Promise<void>;
  /** The stream is complete: an overwrite may become visible now. */
  complete?(stream: ConfiguredStream): Promise<void>;
}

export interface IncomingRecord {
  readonly stream: ConfiguredStream;
  readonly data: Readonly<Record<string, unknown>>;
  /** Milliseconds since 1970. */
  readonly emittedAt: number;
}
