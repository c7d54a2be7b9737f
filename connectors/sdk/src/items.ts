/** What a source's `read` yields. */
import type { RecordChange, StreamDescriptor, StreamStatusValue } from '@tapline/protocol';
import type { SourceItem } from './definition.js';

/**
 * One record. Top-level values that JSON does not have are written in their agreed forms: bigint (digits, as a string beyond
 * 2^53), NaN and infinities (as strings), bytes (base64). Anything else goes as `JSON.stringify` writes it.
 */
export const record = (stream: StreamDescriptor, data: object, changes?: readonly RecordChange[]): SourceItem => ({
  kind: 'record', stream, data, changes,
});

/** Where this stream can be resumed, once everything yielded for it before is durable. `state` is any JSON value. */
export const streamState = (stream: StreamDescriptor, state: unknown): SourceItem => ({ kind: 'stream_state', stream, state });

/** Where the source as a whole can be resumed. A source yields either stream states or global ones, never both. */
export const globalState = (shared: unknown, streams: readonly { readonly stream: StreamDescriptor; readonly state: unknown }[] = []): SourceItem => ({
  kind: 'global_state', shared, streams,
});

/** Rarely needed: STARTED and COMPLETE come by themselves. An early COMPLETE lets a stream end before the others. */
export const status = (stream: StreamDescriptor, value: StreamStatusValue): SourceItem => ({ kind: 'status', stream, status: value });

/** This stream failed, the others go on; the process exits non-zero in the end. */
export const failed = (stream: StreamDescriptor, error: unknown): SourceItem => ({ kind: 'failed', stream, error });

/** How much is to come, for the progress line. */
export const estimate = (stream: StreamDescriptor, size: { readonly rows?: number; readonly bytes?: number }): SourceItem => ({
  kind: 'estimate', stream, ...size,
});

/**
 * Whole RECORD lines of one stream, ends included, encoded by somebody faster. The buffer is the SDK's from now on: do not write to
 * it again. `stream` sends its STARTED.
 */
export const lines = (bytes: Buffer, stream?: StreamDescriptor): SourceItem => ({ kind: 'lines', bytes, ...(stream && { stream }) });
