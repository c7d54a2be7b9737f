/** The extension messages (type `TAPLINE`) and the session file. Their law: protocol/SPEC.md, "Sessions". */
import { z } from 'zod';
import { StreamDescriptor } from './messages.js';

/** Runner to a connector that waits for it, its first line: the files of its command line are all there. `source`: as in the session, where it was not known yet. */
export const StartMessage = z.looseObject({ type: z.literal('START'), source: z.string() });
export type StartMessage = z.infer<typeof StartMessage>;

/** Source to runner: no more records; I stay for acks. `stopped`: since I was asked to stop; what has not said COMPLETE is not complete. */
export const EndMessage = z.looseObject({ type: z.literal('END'), stopped: z.boolean().optional() });

/** What a destination holds durably. `states`: raw text of STATE bodies, one a descriptor, or one GLOBAL or LEGACY. */
export const Checkpoint = z.looseObject({
  /** The `id` of the newest STATE committed; 0 = none yet. */
  state_id: z.number(),
  /** Identity of the source that wrote it; empty = unknown. */
  source: z.string(),
  states: z.array(z.string()),
  /** Highest generation seen, by stream key (`streamKey`). */
  generations: z.record(z.string(), z.number()),
  /** Generations begun and not yet complete, by stream key: a run may go on with them. */
  open_generations: z.record(z.string(), z.number()).optional(),
});
export type Checkpoint = z.infer<typeof Checkpoint>;

/** A destination's first line in a session. `checkpoint` null = it holds nothing of this sync. */
export const OpenedMessage = z.looseObject({ type: z.literal('OPENED'), epoch: z.number(), checkpoint: Checkpoint.nullable() });
export type OpenedMessage = z.infer<typeof OpenedMessage>;

/** The forms of a batch. Ours read and write `parquet`. */
export const BatchFormat = z.enum(['arrow', 'parquet']);
export type BatchFormat = z.infer<typeof BatchFormat>;

/** A file of records in the session's `batch.dir`. */
export const BatchMessage = z.looseObject({
  type: z.literal('BATCH'),
  stream_descriptor: StreamDescriptor,
  /** The name of a file that lies in the folder itself. */
  path: z.string().regex(/^(?!\.)[^/\\\0]+$/, 'must be the name of a file in the folder of the batches'),
  format: BatchFormat,
  /** Names the field that the i-th column of the file is, or a column of our own; names within the file mean nothing. */
  columns: z.array(z.string()),
  schema_version: z.number().optional(),
  rows: z.int().min(1),
  bytes: z.int().min(0),
  /** Milliseconds since 1970, of all its records. */
  emitted_at: z.number(),
});
export type BatchMessage = z.infer<typeof BatchMessage>;

/** Before the first record that needs it; from source (AirbyteStream) or, forwarded, the ConfiguredStream. */
export const SchemaMessage = z.looseObject({
  type: z.literal('SCHEMA'),
  schema_version: z.number(),
  stream: z.record(z.string(), z.unknown()),
});

/**
 * `begin`: what follows of this stream belongs to `generation_id`, and is not visible until `complete`; rows of
 * generations below `minimum_generation_id` leave at `complete`. Repeating a `begin` of an open generation goes on with it.
 * A STREAM_STATUS COMPLETE completes the stream's open generation too.
 */
export const GenerationMessage = z.looseObject({
  type: z.literal('GENERATION'),
  stream_descriptor: StreamDescriptor,
  generation_id: z.number(),
  minimum_generation_id: z.number(),
  phase: z.enum(['begin', 'complete']),
});
export type GenerationMessage = z.infer<typeof GenerationMessage>;

/** How far a source is behind what it follows: bytes of its log, and seconds since the newest change it has sent was made. The runner shows it. */
export const LagMessage = z.looseObject({ type: z.literal('LAG'), bytes: z.number().optional(), seconds: z.number().optional() });
export type LagMessage = z.infer<typeof LagMessage>;

/** One answer of a tool; what is in it is between the tool and who asked. */
export const ResultMessage = z.looseObject({ type: z.literal('RESULT'), result: z.record(z.string(), z.unknown()) });
export type ResultMessage = z.infer<typeof ResultMessage>;

export const TaplineBody = z.discriminatedUnion('type', [StartMessage, EndMessage, OpenedMessage, BatchMessage, SchemaMessage, GenerationMessage, LagMessage, ResultMessage]);
export type TaplineBody = z.infer<typeof TaplineBody>;

/** The file behind `--session F`. Passed only to a connector whose spec advertises extensions. */
export const Session = z.looseObject({
  version: z.literal(1),
  run_id: z.string(),
  sync: z.string(),
  /** Identity of the source, empty if it has none. With `start` it is empty, and comes with START. */
  source: z.string(),
  /** Those of the connector's extensions that the runner uses in this run. */
  extensions: z.array(z.string()),
  continuous: z.boolean(),
  /**
   * For a source: the streams that the user selected, patterns as they were written, in their order, `!` in front = excluded. Empty = all.
   * By it a source tells whether a stream that appears while it runs is wanted.
   */
  selection: z.array(z.string()).optional(),
  /** How often a source should emit a STATE. */
  state_interval_ms: z.number().optional(),
  /** When a destination should commit, whichever comes first. What is left out is the destination's own choice. */
  flush: z.looseObject({ ms: z.number().optional(), bytes: z.number().optional() }).optional(),
  /** Records travel as files, too: `dir` an absolute path, empty at the start; at most `max_bytes` lie there that the destination has not deleted. */
  batch: z.looseObject({ dir: z.string(), format: BatchFormat, max_bytes: z.number() }).optional(),
  /** A private directory for scratch files, removed by the runner at the end of the run. */
  scratch: z.string().optional(),
  /** For crash tests only: `name[@hit]:kill|stop|exit[>FILE]`. */
  failpoints: z.array(z.string()).optional(),
});
export type Session = z.infer<typeof Session>;
