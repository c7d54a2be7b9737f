/** The engine: what runs connectors. The command line plans, reports and exits. */
export { StateStore } from '../store/state-store.js';
export type { StoredState } from '../store/stored-state.js';
export type { HistoryEntry } from '../store/history.js';
export type { Overrides } from '../store/overrides.js';
export { acquireLock, type Lock } from '../store/lock.js';
export { writeDurably, writePrivately } from '../store/durable-file.js';
export { callVerb, specOf, type Verb, type VerbOptions, type VerbResults } from './call-verb.js';
export { callTool, offersTool, ToolCall, type ToolOptions, type ToolResult } from './call-tool.js';
export { redactorOf, type Redact } from './redact.js';
export { runSync } from './run-sync.js';
export { listenForSignals, neverStops, type StopReason, type StopSignals } from './stop-signals.js';
export { defaultTiming, type Timing } from './timing.js';
