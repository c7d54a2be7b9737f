import { transientError, type ConnectorError } from '@tapline/protocol';

/** A newer writer owns the head: this one must stop at once, and touch nothing any more. */
export const fenced = (sync: string, location: string): ConnectorError =>
  transientError(`another run of the sync '${sync}' took over the destination ${location}; this run stops. Nothing was lost or doubled; run one at a time`, { code: 'fenced' });
