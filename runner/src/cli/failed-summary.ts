import type { SyncSummary } from '../types.js';

/** The last line that `--json` promises, for a run that did not come to begin. */
export const failedSummary = (sync: string, error?: { readonly kind: string; readonly message: string }): SyncSummary => ({
  type: 'summary', status: 'failed', sync, records: 0, bytes: 0, seconds: 0, streams: [], states_saved: 0, ...(error && { error }),
});
