/**
 * Every message of the Airbyte protocol, as zod schemas and the types they infer. Definitions are loose
 * (`z.looseObject`) where the protocol allows additional properties: what real connectors add is kept.
 * RECORD lines are never parsed with these on the hot path; see `scan.ts`.
 */
import { z } from 'zod';

export const StreamDescriptor = z.looseObject({ name: z.string(), namespace: z.string().nullish() });
export type StreamDescriptor = { name: string; namespace?: string | null | undefined };

export const RecordChange = z.looseObject({
  field: z.string(),
  change: z.enum(['NULLED', 'TRUNCATED']),
  reason: z.string(),
});
export type RecordChange = z.infer<typeof RecordChange>;

export const RecordBody = z.looseObject({
  stream: z.string(),
  namespace: z.string().nullish(),
  data: z.record(z.string(), z.unknown()),
  emitted_at: z.number(),
  meta: z.looseObject({ changes: z.array(RecordChange).optional() }).nullish(),
  file_reference: z
    .looseObject({
      staging_file_url: z.string(),
      source_file_relative_path: z.string(),
      file_size_bytes: z.number(),
    })
    .nullish(),
});
export type RecordBody = z.infer<typeof RecordBody>;

/** Counts may come as floats (`7.0`). */
export const StateStats = z.looseObject({
  recordCount: z.number().nullish(),
  rejectedRecordCount: z.number().nullish(),
  /** An addition, of destinations: values that became null because they cannot be held. */
  nulledValues: z.number().nullish().catch(undefined),
});
export const StreamState = z.looseObject({ stream_descriptor: StreamDescriptor, stream_state: z.unknown().optional() });
export const StateBody = z.looseObject({
  type: z.enum(['GLOBAL', 'STREAM', 'LEGACY']).nullish(),
  stream: StreamState.nullish(),
  global: z.looseObject({ shared_state: z.unknown().optional(), stream_states: z.array(StreamState) }).nullish(),
  data: z.unknown().optional(),
  sourceStats: StateStats.nullish(),
  destinationStats: StateStats.nullish(),
  /** An addition of platforms: rises over the life of a sync. A source's own field of that name may be anything. */
  id: z.number().nullish().catch(undefined),
});
export type StateBody = z.infer<typeof StateBody>;

export const LogLevel = z.enum(['FATAL', 'ERROR', 'WARN', 'INFO', 'DEBUG', 'TRACE']);
export type LogLevel = z.infer<typeof LogLevel>;
export const LogBody = z.looseObject({ level: LogLevel, message: z.string(), stack_trace: z.string().nullish() });
export type LogBody = z.infer<typeof LogBody>;

export const FailureType = z.enum(['system_error', 'config_error', 'transient_error']);
export const StreamStatusValue = z.enum(['STARTED', 'RUNNING', 'COMPLETE', 'INCOMPLETE']);
export type StreamStatusValue = z.infer<typeof StreamStatusValue>;
export const TraceBody = z.looseObject({
  type: z.string(),
  emitted_at: z.number(),
  error: z
    .looseObject({
      message: z.string(),
      internal_message: z.string().nullish(),
      stack_trace: z.string().nullish(),
      failure_type: FailureType.nullish(),
      stream_descriptor: StreamDescriptor.nullish(),
    })
    .nullish(),
  estimate: z
    .looseObject({
      name: z.string(),
      namespace: z.string().nullish(),
      type: z.enum(['STREAM', 'SYNC']),
      row_estimate: z.number().nullish(),
      byte_estimate: z.number().nullish(),
    })
    .nullish(),
  stream_status: z
    .looseObject({
      stream_descriptor: StreamDescriptor,
      status: StreamStatusValue,
      reasons: z
        .array(z.looseObject({ type: z.string(), rate_limited: z.looseObject({ quota_reset: z.number().nullish() }).nullish() }))
        .nullish(),
    })
    .nullish(),
  analytics: z.looseObject({ type: z.string(), value: z.string().nullish() }).nullish(),
});
export type TraceBody = z.infer<typeof TraceBody>;

export const ControlBody = z.looseObject({
  type: z.string(),
  emitted_at: z.number(),
  connectorConfig: z.looseObject({ config: z.record(z.string(), z.unknown()) }).nullish(),
});
export type ControlBody = z.infer<typeof ControlBody>;

export const ConnectionStatusBody = z.looseObject({ status: z.enum(['SUCCEEDED', 'FAILED']), message: z.string().nullish() });
export type ConnectionStatusBody = z.infer<typeof ConnectionStatusBody>;

/** A JSON schema as it stands in a catalog. Kept open: third parties write what they like. */
export type JsonSchema = { [key: string]: unknown };
export const JsonSchema = z.record(z.string(), z.unknown());

export const SyncMode = z.enum(['full_refresh', 'incremental']);
export type SyncMode = z.infer<typeof SyncMode>;
export const DestinationSyncMode = z.enum(['append', 'overwrite', 'append_dedup', 'update', 'soft_delete']);
export type DestinationSyncMode = z.infer<typeof DestinationSyncMode>;

export const AirbyteStream = z.looseObject({
  name: z.string(),
  namespace: z.string().nullish(),
  json_schema: JsonSchema,
  supported_sync_modes: z.array(SyncMode).nullish(),
  source_defined_cursor: z.boolean().nullish(),
  default_cursor_field: z.array(z.string()).nullish(),
  source_defined_primary_key: z.array(z.array(z.string())).nullish(),
  is_resumable: z.boolean().nullish(),
  is_file_based: z.boolean().nullish(),
});
export type AirbyteStream = z.infer<typeof AirbyteStream>;

/** `tapline.identity`: what makes two positions of this source comparable. Absent in other people's catalogs. */
export const CatalogBody = z.looseObject({
  streams: z.array(AirbyteStream),
  tapline: z.looseObject({ identity: z.string().optional() }).nullish(),
});
export type CatalogBody = z.infer<typeof CatalogBody>;

export const ConfiguredStream = z.looseObject({
  stream: AirbyteStream,
  sync_mode: SyncMode,
  destination_sync_mode: DestinationSyncMode,
  cursor_field: z.array(z.string()).nullish(),
  primary_key: z.array(z.array(z.string())).nullish(),
  generation_id: z.number().nullish(),
  minimum_generation_id: z.number().nullish(),
  sync_id: z.number().nullish(),
});
export type ConfiguredStream = z.infer<typeof ConfiguredStream>;
export const ConfiguredCatalog = z.looseObject({ streams: z.array(ConfiguredStream) });
export type ConfiguredCatalog = z.infer<typeof ConfiguredCatalog>;

/** What a destination can take, by object (reverse ETL). */
export const DestinationCatalogBody = z.looseObject({
  operations: z.array(
    z.looseObject({
      object_name: z.string(),
      sync_mode: DestinationSyncMode,
      json_schema: JsonSchema,
      matching_keys: z.array(z.array(z.string())).nullish(),
    }),
  ),
});
export type DestinationCatalogBody = z.infer<typeof DestinationCatalogBody>;

export const SourceExtension = z.enum(['start', 'ack', 'end', 'schema', 'generation', 'partial', 'lag', 'batch']);
export const DestinationExtension = z.enum(['start', 'checkpoint', 'schema', 'generation', 'partial', 'batch']);
export type SourceExtension = z.infer<typeof SourceExtension>;
export type DestinationExtension = z.infer<typeof DestinationExtension>;

export const SpecBody = z.looseObject({
  connectionSpecification: JsonSchema,
  documentationUrl: z.string().nullish(),
  changelogUrl: z.string().nullish(),
  protocol_version: z.string().nullish(),
  supportsIncremental: z.boolean().nullish(),
  supported_destination_sync_modes: z.array(z.string()).nullish(),
  advanced_auth: z.unknown().optional(),
  /** What makes a connector ours, or as good as: without it nothing of the extensions is read or written. */
  tapline: z
    .looseObject({ version: z.number(), extensions: z.array(z.string()), batch_formats: z.array(z.string()).optional(), tools: z.array(z.string()).optional() })
    .nullish(),
});
export type SpecBody = z.infer<typeof SpecBody>;

export const MessageType = z.enum([
  'RECORD', 'STATE', 'LOG', 'SPEC', 'CONNECTION_STATUS', 'CATALOG', 'TRACE', 'CONTROL', 'DESTINATION_CATALOG', 'TAPLINE',
]);
export type MessageType = z.infer<typeof MessageType>;
