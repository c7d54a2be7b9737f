import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineDestination, defineSource, secret, specOf } from './index.js';

const specWith = (config: z.ZodType<unknown>) =>
  specOf(defineSource({ name: 'source-x', version: '1', config, async check() {}, async discover() { return { streams: [] }; }, async *read() {} }))
    .connectionSpecification as { properties: Record<string, Record<string, unknown>>; [key: string]: unknown };
const propertyOf = (schema: z.ZodType<unknown>) => specWith(z.object({ field: schema })).properties['field']!;

describe('the spec', () => {
  test('marks secrets, also described, optional, nullable and nested ones', () => {
    const { properties } = specWith(
      z.object({ a: secret(), b: secret().describe('why').optional(), c: secret(z.string().min(3)).nullable(), d: z.object({ e: secret().default('x') }) }),
    );
    expect(properties['a']).toMatchObject({ type: 'string', airbyte_secret: true });
    expect(properties['b']).toMatchObject({ type: 'string', airbyte_secret: true, description: 'why' });
    expect(properties['c']).toMatchObject({ type: 'string', airbyte_secret: true, minLength: 3 });
    expect(properties['d']).toMatchObject({ properties: { e: { airbyte_secret: true, default: 'x' } } });
  });

  test('requires exactly the fields without a default that are not optional', () => {
    expect(specWith(z.object({ a: z.string(), b: z.string().default('x'), c: z.string().optional() }))['required']).toEqual(['a']);
  });

  test('allows additional properties everywhere, as platforms add their own', () => {
    const schema = specWith(z.strictObject({ a: z.strictObject({ b: z.string() }) }));
    expect(schema['additionalProperties']).toBe(true);
    expect(schema.properties['a']!['additionalProperties']).toBe(true);
  });

  test('keeps the fields in the order of the definition', () => {
    const { properties } = specWith(z.object({ z: z.string(), a: z.string() }));
    expect([properties['z']!['order'], properties['a']!['order']]).toEqual([0, 1]);
  });

  test('writes a choice of objects as oneOf with a const to tell them apart', () => {
    const property = propertyOf(z.union([z.object({ kind: z.literal('a') }), z.object({ kind: z.literal('b'), x: z.number() })]));
    expect(property).toMatchObject({
      type: 'object',
      oneOf: [{ type: 'object', properties: { kind: { const: 'a' } } }, { properties: { kind: { const: 'b' }, x: { type: 'number' } } }],
    });
    expect(property).not.toHaveProperty('anyOf');
  });

  test('writes a nullable field as the field', () => {
    expect(propertyOf(z.number().nullable())).toEqual({ order: 0, type: 'number' });
  });

  test('carries enums, defaults, descriptions and bounds, but not the bounds of a double', () => {
    expect(propertyOf(z.enum(['p', 'q']).default('p').describe('Which.'))).toEqual({ order: 0, type: 'string', enum: ['p', 'q'], default: 'p', description: 'Which.' });
    expect(propertyOf(z.int().min(1))).toEqual({ order: 0, type: 'integer', minimum: 1 });
  });

  test('advertises end for every source, ack where there is a confirm, and the forms of its batches', () => {
    const base = { name: 'source-x', version: '1', config: z.object({}), async check() {}, async discover() { return { streams: [] }; }, async *read() {} };
    expect(specOf(defineSource(base)).tapline).toEqual({ version: 1, extensions: ['end'] });
    expect(specOf(defineSource({ ...base, async confirm() {} })).tapline).toEqual({ version: 1, extensions: ['ack', 'end'] });
    expect(specOf(defineSource({ ...base, extensions: ['end', 'batch'], batchFormats: ['parquet'] })).tapline).toEqual({ version: 1, extensions: ['end', 'batch'], batch_formats: ['parquet'] });
    expect(specOf(defineSource({ ...base, extensions: [] }))).not.toHaveProperty('tapline');
  });

  test('says which modes a destination takes, and which batches', () => {
    const spec = specOf(
      defineDestination({
        name: 'destination-x', version: '1', config: z.object({}), syncModes: ['append'], extensions: ['batch'], batchFormats: ['parquet'],
        async check() {}, async consume() {},
      }),
    );
    expect(spec).toMatchObject({
      supportsIncremental: true, supported_destination_sync_modes: ['append'], tapline: { version: 1, extensions: ['batch'], batch_formats: ['parquet'] },
    });
  });
});

describe('a definition', () => {
  const base = { version: '1', config: z.object({}), syncModes: ['append' as const], async check() {} };
  test('of a destination has exactly one of open and consume', () => {
    expect(() => defineDestination({ ...base, name: 'destination-x' })).toThrow('exactly one of open() and consume()');
  });
  test('is named like its executable', () => {
    expect(() => defineDestination({ ...base, name: 'lake', async consume() {} })).toThrow("must begin with 'destination-'");
  });
});
