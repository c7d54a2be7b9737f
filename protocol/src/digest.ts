/**
 * What the tool `digest` of both ends of a sync is asked, and answers: `runner verify` compares them. The law, down to the text of each
 * value that goes into a checksum: protocol/SPEC.md, "Digests".
 */
import { z } from 'zod';
import { StreamDescriptor } from './messages.js';

/** What a destination can hold, so that the source takes for null what had to become null. Bounds are inclusive. */
export const Holds = z.looseObject({
  /** NaN in a decimal with bounds. */
  decimal_nan: z.boolean(),
  /** Days since 2000-01-01. */
  date: z.tuple([z.number(), z.number()]),
  /** Microseconds since midnight. */
  time: z.tuple([z.number(), z.number()]),
  /** Microseconds since 2000-01-01 00:00:00 (UTC where there is a zone), as text: they exceed 2^53. */
  timestamp: z.tuple([z.string(), z.string()]),
  /** JSON is held as jsonb, whose text is PostgreSQL's own; absent = as it came. */
  jsonb: z.boolean().optional(),
});
export type Holds = z.infer<typeof Holds>;

const bits = z.int().min(0).max(24);
const table = { stream: StreamDescriptor, bits, /** Only what was committed before this position of the source's log, in digits. */ before: z.string().optional() };

export const DigestRequest = z.discriminatedUnion('ask', [
  /** The first. A source takes its one snapshot now; `replicated`: at a position of its log that is exact. */
  z.looseObject({ ask: z.literal('open'), holds: Holds.optional(), replicated: z.boolean().optional() }),
  /** The states that the destination holds now. */
  z.looseObject({ ask: z.literal('states') }),
  /** How many bytes of its log lie between the position in these states and the snapshot. */
  z.looseObject({ ask: z.literal('behind'), states: z.array(z.string()) }),
  /** Rows and checksum of each of the 2^bits ranges of key hashes that has rows. */
  z.looseObject({ ask: z.literal('ranges'), ...table }),
  /** The rows of some ranges. */
  z.looseObject({ ask: z.literal('rows'), ...table, ranges: z.array(z.number()) }),
]);
export type DigestRequest = z.infer<typeof DigestRequest>;

/** Range, rows, and the sum of the rows' 64-bit hashes modulo 2^64 in hexadecimal. */
export const RangeDigest = z.tuple([z.number(), z.number(), z.string()]);
export type RangeDigest = z.infer<typeof RangeDigest>;

/** Rows of one key and one content. */
export const RowDigest = z.looseObject({
  /** 32 hexadecimal digits of the key's hash, 16 of the row's. */
  key: z.string(),
  hash: z.string(),
  copies: z.number(),
  /** 8 characters a column: of the value's hash, or `nullText`, or `nulledText`. */
  columns: z.string(),
  /** The values of the key's columns, as text. */
  values: z.array(z.string().nullable()),
});
export type RowDigest = z.infer<typeof RowDigest>;
export const nullText = '--------';
/** The destination cannot hold the value. */
export const nulledText = '!!!!!!!!';

export const DigestAnswer = z.discriminatedUnion('is', [
  z.looseObject({
    is: z.literal('opened'),
    /** Of a destination. */
    holds: Holds.optional(),
    states: z.array(z.string()).optional(),
    /** Of a source with a log: where the snapshot stands in it, in digits, and as its people write it. */
    position: z.string().optional(),
    position_text: z.string().optional(),
    /** False: a transaction that committed around the position may be on either side of it. */
    exact: z.boolean().optional(),
  }),
  z.looseObject({ is: z.literal('states'), states: z.array(z.string()) }),
  z.looseObject({ is: z.literal('behind'), bytes: z.number().nullable() }),
  z.looseObject({ is: z.literal('ranges'), ranges: z.array(RangeDigest) }),
  z.looseObject({ is: z.literal('rows'), rows: z.array(RowDigest) }),
  /** Ends the answer to `ranges` and `rows`. `nulled`: rows that hold a null in the place of what cannot be held. `notes`: what people should know. */
  z.looseObject({ is: z.literal('done'), nulled: z.number().optional(), notes: z.array(z.string()).optional() }),
  /** This table cannot be digested; others may be asked for. */
  z.looseObject({ is: z.literal('failed'), kind: z.enum(['config_error', 'transient_error', 'system_error']), message: z.string() }),
]);
export type DigestAnswer = z.infer<typeof DigestAnswer>;

/** The sum of signed or unsigned 64-bit numbers, as {@link RangeDigest} has it. */
export const checksumText = (sum: string | bigint): string => BigInt.asUintN(64, BigInt(sum)).toString(16).padStart(16, '0');
