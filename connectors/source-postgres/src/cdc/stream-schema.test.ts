import { toJsonSchema, type LogicalType } from '@tapline/catalog';
import type { AirbyteStream } from '@tapline/protocol';
import { describe, expect, it } from 'vitest';
import { cdcProperties } from './meta-columns.js';
import { StreamSchema } from './stream-schema.js';

const int = (bits: 16 | 32 | 64): LogicalType => ({ kind: 'int', bits });
const text: LogicalType = { kind: 'text' };

const streamOf = (columns: Record<string, LogicalType>, leftOut: readonly string[] = []): AirbyteStream => ({
  name: 'orders',
  namespace: 'public',
  json_schema: { type: 'object', properties: { ...Object.fromEntries(Object.entries(columns).map(([name, type]) => [name, toJsonSchema(type)])), ...cdcProperties() } },
  tapline: { left_out: leftOut },
}) as AirbyteStream;

const names = (stream: AirbyteStream | undefined): string[] | undefined => stream && Object.keys(stream.json_schema['properties'] as object);

describe('the columns of a stream', () => {
  it('that are as configured need no word', () => {
    const schema = new StreamSchema(streamOf({ id: int(64), name: text }));
    expect(schema.propertyOf('id', int(64))).toBe('id');
    expect(schema.takeChange()).toBeUndefined();
  });

  it('grow by a new one, before the meta columns, and are told once', () => {
    const schema = new StreamSchema(streamOf({ id: int(64) }));
    expect(schema.propertyOf('note', text)).toBe('note');
    expect(names(schema.takeChange())).toEqual(['id', 'note', '_ab_cdc_lsn', '_ab_cdc_updated_at', '_ab_cdc_deleted_at']);
    expect(schema.takeChange()).toBeUndefined();
  });

  it('take a wider type in place, and a narrower one without a word', () => {
    const schema = new StreamSchema(streamOf({ n: int(32) }));
    expect(schema.propertyOf('n', int(64))).toBe('n');
    expect(schema.columns).toEqual({ n: 'int64' });
    expect(schema.takeChange()).toBeDefined();
    expect(schema.propertyOf('n', int(16))).toBe('n');
    expect(schema.takeChange()).toBeUndefined();
  });

  it('send a changed type to a column of its own, the same one each time', () => {
    const schema = new StreamSchema(streamOf({ n: int(32) }));
    expect(schema.propertyOf('n', text)).toBe('n__text');
    expect(schema.propertyOf('n', text)).toBe('n__text');
    expect(schema.propertyOf('n', { kind: 'decimal', precision: 3, scale: 2 })).toBe('n__decimal_3_2');
    expect(schema.propertyOf('n', int(32))).toBe('n');
    expect(schema.columns).toEqual({ n: 'int32', n__text: 'text', n__decimal_3_2: 'decimal(3,2)' });
  });

  it('keep the names they had before a restart, though the catalog has another type now', () => {
    const schema = new StreamSchema(streamOf({ n: text }), { n: 'int32', gone: 'text' });
    expect(names(schema.takeChange())?.slice(0, 2)).toEqual(['n', 'gone']);
    expect(schema.propertyOf('n', text)).toBe('n__text');
    expect(schema.propertyOf('n', int(32))).toBe('n');
  });

  it('leave out what the user left out, whatever the table has', () => {
    const schema = new StreamSchema(streamOf({ id: int(64) }, ['secret']), { secret: 'text' });
    expect(schema.propertyOf('secret', text)).toBeUndefined();
    expect(schema.columns).toEqual({ id: 'int64' });
  });

  it('that the user named are all there is, whatever is added later', () => {
    const stream = streamOf({ id: int(64) });
    const schema = new StreamSchema({ ...stream, tapline: { only: true } } as AirbyteStream);
    expect([schema.propertyOf('id', int(64)), schema.propertyOf('added', text)]).toEqual(['id', undefined]);
    expect(schema.takeChange()).toBeUndefined();
  });

  it('are whole as long as the table has had them since its copy, also over a restart', () => {
    const schema = new StreamSchema(streamOf({ id: int(64), pad: text }));
    schema.narrow(new Set(['id', 'pad']));
    expect(schema.isWhole('pad')).toBe(true);
    expect(schema.late).toEqual([]);
    // Renamed.
    schema.propertyOf('big', text);
    schema.narrow(new Set(['id', 'big']));
    expect([schema.isWhole('id'), schema.isWhole('pad'), schema.isWhole('big')]).toEqual([true, false, false]);
    const again = new StreamSchema(streamOf({ id: int(64), big: text }), schema.columns, schema.late);
    expect([again.isWhole('id'), again.isWhole('pad'), again.isWhole('big')]).toEqual([true, false, false]);
    // And back: what the destination has under the old name is from before.
    again.narrow(new Set(['id', 'pad']));
    expect(again.isWhole('pad')).toBe(false);
  });

  it('that came while nobody looked are not whole', () => {
    const schema = new StreamSchema(streamOf({ id: int(64), big: text }), { id: 'int64', pad: 'text' });
    expect([schema.isWhole('id'), schema.isWhole('big')]).toEqual([true, false]);
    expect(schema.late).toEqual(['big']);
  });
});
