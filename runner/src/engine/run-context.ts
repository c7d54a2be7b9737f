/** What all parts of a run share. */
import type { ConnectorError, SpecBody } from '@tapline/protocol';
import type { ConnectorRef, Reporter, SyncPlan } from '../types.js';
import type { StateStore } from '../store/state-store.js';
import type { BatchFolder } from './batch-folder.js';
import { keepConfig } from './kept-config.js';
import type { Junk } from './junk.js';
import type { PrivateFiles } from './private-files.js';
import type { Redact } from './redact.js';
import type { RunProgress } from './run-progress.js';
import type { RunRecord } from './run-record.js';
import type { StopSignals } from './stop-signals.js';
import type { Timing } from './timing.js';

/** A connector in a run: its configuration may be renewed on the way. */
export interface Connector {
  /** As planned. */
  readonly original: ConnectorRef;
  /** With the configuration in use. */
  ref: ConnectorRef;
  readonly spec: SpecBody | undefined;
  readonly redact: Redact;
  readonly junk: Junk;
}

export interface RunContext {
  readonly plan: SyncPlan;
  readonly reporter: Reporter;
  readonly signals: StopSignals;
  readonly timing: Timing;
  readonly store: StateStore;
  readonly files: PrivateFiles;
  readonly record: RunRecord;
  readonly runId: string;
  readonly source: Connector;
  readonly destination: Connector;
  readonly progress: RunProgress;
  /** Undefined: records go as lines only. */
  readonly batches: BatchFolder | undefined;
}

export interface AttemptOutcome {
  /** None = all that was asked for is done. */
  readonly errors: readonly ConnectorError[];
  /** It was asked to stop, and did, before it was done. */
  readonly interrupted: boolean;
  /** A state was saved whose bytes are new. */
  readonly progressed: boolean;
}

/** A connector sent a new configuration (CONTROL CONNECTOR_CONFIG): on disk first, for the old one may be dead already. */
export function renew(connector: Connector, { plan }: RunContext, config: Readonly<Record<string, unknown>>): void {
  keepConfig(connector.original, plan.directory, config);
  connector.ref = { ...connector.ref, config };
}
