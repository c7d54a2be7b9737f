/** What a tapline.yaml may hold. Every key that is not here is an error: a mistyped one must not pass in silence. */
import { z } from 'zod';

const name = z.string().min(1);

/** A URI, or a connector and its options. Which options there are is the connector's to say. */
const Connection = z.union([name, z.looseObject({ connector: name, env: z.array(name).optional(), config: z.record(z.string(), z.unknown()).optional() })], {
  error: 'a connection is a URI, or `{ connector: …, option: … }`',
});
export type Connection = z.infer<typeof Connection>;

const Columns = z.union([z.array(name).min(1), z.strictObject({ exclude: z.array(name).min(1) })], { error: 'columns is a list of names, or `{ exclude: [names] }`' });

const Stream = z.strictObject({
  enabled: z.boolean().optional(),
  mode: z.string().optional(),
  cursor: name.optional(),
  key: z.array(name).min(1).optional(),
  columns: Columns.optional(),
});
export type StreamSettings = z.infer<typeof Stream>;

const Sync = z.strictObject({
  source: name,
  destination: name,
  streams: z.record(z.string(), Stream.nullable()).nullish(),
  flush: z.string().optional(),
  retries: z.int().min(0).optional(),
  continuous: z.boolean().optional(),
  transport: z.enum(['json', 'batch', 'auto']).optional(),
});
export type SyncSettings = z.infer<typeof Sync>;

export const ConfigFile = z.strictObject({
  connections: z.record(z.string(), Connection).nullish(),
  syncs: z.record(z.string(), Sync).nullish(),
});
export type ConfigFile = z.infer<typeof ConfigFile>;

/** The keys at a path, for "did you mean". */
export function keysAt(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return Object.keys(ConfigFile.shape);
  if (path[0] !== 'syncs') return [];
  if (path.length === 2) return Object.keys(Sync.shape);
  if (path.length === 4) return Object.keys(Stream.shape);
  return path.length === 5 ? ['exclude'] : [];
}
