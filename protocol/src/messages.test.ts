import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { Message } from './message.js';
import {
  AirbyteStream, CatalogBody, ConfiguredCatalog, ConfiguredStream, ConnectionStatusBody, ControlBody, DestinationCatalogBody, LogBody, MessageType, RecordBody, SpecBody, StateBody, TraceBody,
} from './messages.js';

const stream = { stream_descriptor: { name: 'orders', namespace: null } };
const airbyteStream = { name: 'orders', json_schema: { type: 'object' }, supported_sync_modes: ['full_refresh', 'incremental'] };

/** [what, schema, a body as it is met in the wild] */
const samples: [string, z.ZodType, unknown][] = [
  ['a RECORD', RecordBody, { stream: 'orders', namespace: 'public', data: { id: 1 }, emitted_at: 1730000000000, meta: { changes: [{ field: 'a', change: 'NULLED', reason: 'SOURCE_FIELD_SIZE_LIMITATION' }] } }],
  ['a RECORD of a file', RecordBody, { stream: 's', data: {}, emitted_at: 1, file_reference: { staging_file_url: 'f', source_file_relative_path: 'p', file_size_bytes: 3 } }],
  ['a RECORD with null namespace and meta', RecordBody, { stream: 's', namespace: null, data: {}, emitted_at: 1.5, meta: null, file_reference: null }],
  ['a STATE of type STREAM', StateBody, { type: 'STREAM', stream: { ...stream, stream_state: { cursor: 1 } }, sourceStats: { recordCount: 7.0 } }],
  ['a STATE of type GLOBAL', StateBody, { type: 'GLOBAL', global: { shared_state: null, stream_states: [stream] } }],
  ['a STATE of type LEGACY', StateBody, { type: 'LEGACY', data: { a: 1 }, id: 4, partition_id: 'p' }],
  ['a STATE without a type', StateBody, { data: { format: 'base64/gzip', value: 'x' } }],
  ['a STATE with every key null', StateBody, { type: null, stream: null, global: null, data: null, sourceStats: null, destinationStats: null, id: null }],
  ['a LOG', LogBody, { level: 'INFO', message: 'm', stack_trace: null }],
  ['a SPEC', SpecBody, { connectionSpecification: {}, supportsIncremental: true, supported_destination_sync_modes: ['append'], advanced_auth: {}, protocol_version: '0.2.0', documentationUrl: null }],
  ['a SPEC of ours', SpecBody, { connectionSpecification: {}, tapline: { version: 1, extensions: ['ack'], batch_formats: ['arrow'] } }],
  ['a CONNECTION_STATUS', ConnectionStatusBody, { status: 'FAILED', message: 'no' }],
  ['a CATALOG', CatalogBody, { streams: [airbyteStream, { name: 's', json_schema: {}, supported_sync_modes: null, source_defined_primary_key: [['id']], default_cursor_field: null, is_resumable: true }] }],
  ['a CATALOG with an identity', CatalogBody, { streams: [], tapline: { identity: 'pg:1/shop' } }],
  ['a TRACE ERROR', TraceBody, { type: 'ERROR', emitted_at: 1730000000000.25, error: { message: 'm', internal_message: null, stack_trace: null, failure_type: 'config_error', stream_descriptor: null } }],
  ['a TRACE ESTIMATE', TraceBody, { type: 'ESTIMATE', emitted_at: 1.5, estimate: { name: 'orders', namespace: null, type: 'STREAM', row_estimate: 5, byte_estimate: null } }],
  ['a TRACE STREAM_STATUS', TraceBody, { type: 'STREAM_STATUS', emitted_at: 1, stream_status: { ...stream, status: 'RUNNING', reasons: [{ type: 'RATE_LIMITED', rate_limited: { quota_reset: 1730000000000 } }] } }],
  ['a TRACE ANALYTICS', TraceBody, { type: 'ANALYTICS', emitted_at: 1, analytics: { type: 't', value: null } }],
  ['a TRACE of an unknown kind', TraceBody, { type: 'LATER', emitted_at: 1 }],
  ['a CONTROL', ControlBody, { type: 'CONNECTOR_CONFIG', emitted_at: 1.5, connectorConfig: { config: { token: 't' } } }],
  ['a DESTINATION_CATALOG', DestinationCatalogBody, { operations: [{ object_name: 'Contact', sync_mode: 'update', json_schema: {}, matching_keys: [['email']] }] }],
  ['a configured catalog', ConfiguredCatalog, { streams: [{ stream: airbyteStream, sync_mode: 'incremental', destination_sync_mode: 'append_dedup', cursor_field: ['a'], primary_key: [['id']], generation_id: 1, minimum_generation_id: 0, sync_id: 3, include_files: false }] }],
];

describe('every message of the protocol is understood', () => {
  test.each(samples)('%s', (_what, schema, body) => expect(schema.safeParse(body).error).toBeUndefined());

  test.each(samples)('%s keeps what others add', (_what, schema, body) => {
    expect(schema.parse({ ...(body as object), added_by_somebody: 1 })).toMatchObject({ added_by_somebody: 1 });
  });
});

describe('what breaks the protocol is refused', () => {
  test.each<[string, z.ZodType, unknown]>([
    ['a RECORD without data', RecordBody, { stream: 's', emitted_at: 1 }],
    ['a STATE of an unknown type', StateBody, { type: 'NONE' }],
    ['a connection status of its own', ConnectionStatusBody, { status: 'OK' }],
    ['a stream without a name', AirbyteStream, { json_schema: {} }],
    ['a configured stream without a destination mode', ConfiguredStream, { stream: airbyteStream, sync_mode: 'full_refresh' }],
    ['an unknown sync mode', ConfiguredStream, { stream: airbyteStream, sync_mode: 'cdc', destination_sync_mode: 'append' }],
  ])('%s', (_what, schema, body) => expect(schema.safeParse(body).success).toBe(false));
});

describe('a whole message', () => {
  const members = {
    RECORD: 'record', STATE: 'state', LOG: 'log', SPEC: 'spec', CONNECTION_STATUS: 'connectionStatus', CATALOG: 'catalog', TRACE: 'trace', CONTROL: 'control',
    DESTINATION_CATALOG: 'destination_catalog',
  };
  test.each(Object.entries(members))('of type %s carries its body as %s', (type, member) => {
    const [, , body] = samples.find(([what]) => what.includes(` ${type}`))!;
    expect(Message.parse({ type, [member]: body, extra: 1 })).toMatchObject({ type, extra: 1 });
    expect(Message.safeParse({ type, body }).success).toBe(false);
  });
  test('of type TAPLINE carries an extension', () => {
    expect(Message.parse({ type: 'TAPLINE', tapline: { type: 'END' } })).toMatchObject({ tapline: { type: 'END' } });
  });
});

test('the message types are those of the protocol, and TAPLINE', () => {
  expect(MessageType.options).toEqual(['RECORD', 'STATE', 'LOG', 'SPEC', 'CONNECTION_STATUS', 'CATALOG', 'TRACE', 'CONTROL', 'DESTINATION_CATALOG', 'TAPLINE']);
});
