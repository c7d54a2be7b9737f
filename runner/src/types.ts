/** What the command line plans and the engine runs. */
import type { AirbyteStream, CatalogBody, ConfiguredCatalog, ConfiguredStream, SpecBody } from '@tapline/protocol';

/** A connector as a program to start. */
export interface ConnectorRef {
  readonly role: 'source' | 'destination';
  /** What people call it: `postgres`, `./my-source`. */
  readonly label: string;
  /** Program and leading arguments; the verb and its flags follow. */
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the child: an allow-list, never ours. */
  readonly env: Readonly<Record<string, string>>;
  /** True for connectors of this project: their environment and spec are known. */
  readonly ours: boolean;
  /** The spec that ships as a file beside the connector, or undefined: ask it (and cache). */
  readonly shippedSpec: SpecBody | undefined;
  /** Its configuration, complete, secrets included. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Where the configuration came from, so that CONTROL CONNECTOR_CONFIG can be kept; undefined = only in memory. */
  readonly configFile: string | undefined;
}

/** `auto`: batches where both ends can, else lines. */
export type Transport = 'json' | 'batch' | 'auto';

export interface SyncPlan {
  readonly sync: string;
  /** `<state-dir>/<sync>`. */
  readonly directory: string;
  readonly source: ConnectorRef;
  readonly destination: ConnectorRef;
  /** Chooses streams, modes and columns out of what was discovered. Throws a `config_error`. */
  readonly configure: (discovered: CatalogBody) => ConfiguredCatalog;
  /** The same for a stream that appears while the source runs; undefined = it is not wanted. */
  readonly appeared: (stream: AirbyteStream) => ConfiguredStream | undefined;
  /** What chooses the streams, as patterns for the source; empty = all. */
  readonly selection: readonly string[];
  readonly fullRefresh: boolean;
  readonly fromDestination: boolean;
  readonly continuous: boolean;
  readonly flushMs: number | undefined;
  readonly transport: Transport;
  readonly retries: number;
  /** Once it has saved a state, it tries again for ever after failures that may pass: what runs for months meets outages of hours. */
  readonly patient: boolean;
  /** A source that says nothing for so long while it is waited for has failed (transient_error). Absent = it may. */
  readonly silenceMs?: number | undefined;
}

/** The `--json` summary of docs/cli.md; the field names are a contract. */
export interface SyncSummary {
  readonly type: 'summary';
  readonly status: 'succeeded' | 'partial' | 'failed' | 'interrupted';
  readonly sync: string;
  readonly records: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly streams: readonly StreamSummary[];
  readonly states_saved: number;
  /** Values that became null because the destination cannot hold them; absent where there were none, or the destination does not count them. */
  readonly nulled_values?: number;
  readonly error?: { readonly kind: string; readonly message: string };
}

export interface StreamSummary {
  readonly namespace?: string;
  readonly name: string;
  readonly status: 'succeeded' | 'incomplete' | 'failed' | 'skipped';
  readonly records: number;
  readonly bytes: number;
}

export interface Lag {
  readonly bytes?: number | undefined;
  readonly seconds?: number | undefined;
}

/** What the engine tells while it runs. Calls are synchronous and cheap. */
export interface Reporter {
  progress(progress: {
    readonly records: number;
    readonly bytes: number;
    readonly seconds: number;
    readonly streamsDone: number;
    readonly streamsTotal: number;
    /** Sum of the sources' row estimates, where given. */
    readonly estimatedRecords: number | undefined;
    /** How far the source is behind what it follows, where it says so. */
    readonly lag: Lag | undefined;
  }): void;
  /** A line for people: warnings, retries, what a connector logged. */
  message(level: 'debug' | 'info' | 'warn' | 'error', text: string): void;
}

/** `runSync(plan, reporter, signal)` resolves with the summary and the exit code; it rejects only on bugs. */
export interface SyncResult {
  readonly summary: SyncSummary;
  readonly exitCode: number;
}
