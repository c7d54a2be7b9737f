/** What a source's `read` yields. */
import type { AirbyteStream, RecordChange, StreamDescriptor, StreamStatusValue } from '@tapline/protocol';
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

/**
 * A whole file of records, written by `BatchFiles` of `@tapline/sdk/batch`, only where there is a `session.batch`. `columns[i]` = the field
 * that the i-th column of the file is; `rows` at least 1; `emittedAt` in milliseconds since 1970, for all of them. The form of the file:
 * protocol/SPEC.md, "Batches".
 */
export const batch = (
  stream: StreamDescriptor,
  file: { readonly path: string; readonly bytes: number; readonly rows: number; readonly columns: readonly string[]; readonly emittedAt: number },
): SourceItem => ({ kind: 'batch', stream, ...file });

/**
 * What follows of this stream has this schema, whole. A stream that is not in the catalog begins by it: only one that
 * `session.selection` wants. Where `session.extensions` has no `schema` nothing is written, with one warning a stream.
 * `version` rises within the stream.
 */
export const schema = (stream: AirbyteStream, version: number): SourceItem => ({ kind: 'schema', stream, version });

/**
 * `begin`: what follows of this stream is of this generation, and is not visible until it is `complete`; then rows of generations
 * below `minimum` leave. A new generation is one more than the highest of this stream: that of the catalog, or of the last one begun.
 * Where `session.extensions` has no `generation` nothing is written.
 */
export const generation = (
  stream: StreamDescriptor,
  { generation: id, minimum, phase }: { readonly generation: number; readonly minimum: number; readonly phase: 'begin' | 'complete' },
): SourceItem => ({ kind: 'generation', stream, generation: id, minimum, phase });

/** How far behind its upstream the source is, for people; about once a second. Written where `session.extensions` has `lag`. */
export const lag = (behind: { readonly bytes?: number; readonly seconds?: number }): SourceItem => ({ kind: 'lag', ...behind });
