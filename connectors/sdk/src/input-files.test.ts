import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { scratch } from './fixtures/start.js';
import { defineDestination, defineSource, secret } from './index.js';
import { readCatalog, readConfig, readSession, readStates } from './input-files.js';

const one = { name: 'one', namespace: 'n' };
const stream = (name: object, state: unknown) => ({ type: 'STREAM', stream: { stream_descriptor: name, stream_state: state } });

describe('a configuration error', () => {
  const schema = z.object({
    host: z.string(),
    port: z.int().max(65535).default(1),
    password: secret(z.string().min(12)).optional(),
    mode: z.discriminatedUnion('kind', [z.object({ kind: z.literal('a') }), z.object({ kind: z.literal('b'), size: z.number() })]).optional(),
    either: z.union([z.string(), z.object({ deep: z.number() })]).optional(),
    strict: z.strictObject({}).optional(),
  });
  const messageFor = async (config: unknown) =>
    readConfig(schema, scratch().file('c.json', config)).then(() => 'valid', (error: Error) => error.message);

  test.each([
    [{}, "'host' is missing (string)"],
    [{ host: 'h', port: 'x' }, "'port': expected number, received string"],
    [{ host: 'h', port: 70000 }, "'port': Too big: expected number to be <=65535"],
    [{ host: 'h', mode: { kind: 'c' } }, "'mode.kind': Invalid discriminator value. Expected 'a' | 'b'"],
    [{ host: 'h', mode: { kind: 'b' } }, "'mode.size' is missing (number)"],
    [{ host: 'h', either: { deep: 'x' } }, "'either.deep': expected number, received string"],
    [{ host: 'h', strict: { tpyo: 1 } }, "'strict' has unknown fields: 'tpyo'"],
    [[], 'the configuration: expected object, received array'],
  ])('names the field and what was expected: %j', async (config, message) => {
    expect(await messageFor(config)).toContain(message);
  });

  test('never shows a value', async () => {
    const message = await messageFor({ host: 4711, port: 'hunter2', password: 'hunter2', mode: { kind: 'hunter2' }, either: ['hunter2'] });
    expect(message).toContain("'password'");
    expect(message).not.toMatch(/hunter2|4711/);
  });

  test('names the file that is missing, empty or no JSON, and shows nothing of it', async () => {
    const files = scratch();
    await expect(readConfig(schema, '/nowhere/c.json')).rejects.toThrow('--config: /nowhere/c.json cannot be read (ENOENT)');
    await expect(readConfig(schema, files.file('empty.json', ''))).rejects.toThrow(/--config: .*empty\.json is empty/);
    const broken = await readConfig(schema, files.file('broken.json', '{"password": hunter2')).catch((error: Error) => error);
    expect(broken).toMatchObject({ kind: 'config_error', message: expect.stringMatching(/broken\.json is not valid JSON$/) as string });
    expect(JSON.stringify([broken, (broken as Error).cause])).not.toContain('hunter2');
  });
});

describe('a state file', () => {
  const read = (content: unknown) => readStates(scratch().file('s.json', content));

  test('is an array of states, the last of a stream wins', async () => {
    const states = await read([stream(one, 1), stream({ name: 'one' }, 2), stream(one, 3)]);
    expect([states.stateOf(one), states.stateOf({ name: 'one', namespace: null }), states.stateOf({ name: 'two' })]).toEqual([3, 2, undefined]);
    expect(states.bodies).toHaveLength(3);
  });

  test('may hold a GLOBAL state, with its streams', async () => {
    const states = await read([{ type: 'GLOBAL', global: { shared_state: { lsn: '5' }, stream_states: [{ stream_descriptor: one, stream_state: 7 }] } }]);
    expect([states.globalState, states.stateOf(one)]).toEqual([{ lsn: '5' }, 7]);
  });

  test.each([[[]], [{}], ['null']])('that is %j means from the start', async (content) => {
    const states = await read(content);
    expect([states.bodies, states.globalState, states.stateOf(one)]).toEqual([[], undefined, undefined]);
  });

  test('may be one state, bare or as a whole message', async () => {
    expect((await read(stream(one, 1))).stateOf(one)).toBe(1);
    expect((await read({ type: 'STATE', state: stream(one, 2) })).stateOf(one)).toBe(2);
    expect((await read([{ type: 'STATE', state: stream(one, 3) }])).stateOf(one)).toBe(3);
    expect((await read({ data: { cursor: 4 } })).globalState).toEqual({ cursor: 4 });
  });

  test('may be the bare value of an old platform', async () => {
    expect((await read({ cursor: 9 })).globalState).toEqual({ cursor: 9 });
  });

  test.each(['', '[{"type":"STREAM"', '[{"type":"NONE"}]', '5'])('that is cut off, empty or no state is refused by name: %j', async (content) => {
    await expect(read(content)).rejects.toMatchObject({ kind: 'config_error', message: expect.stringMatching(/^--state: .*s\.json is/) as string });
  });
});

describe('a catalog', () => {
  const config = z.unknown();
  const source = defineSource({ name: 'source-x', version: '1', config, async check() {}, async discover() { return { streams: [] }; }, async *read() {} });
  const destination = defineDestination({ name: 'destination-x', version: '1', config, syncModes: ['append'], async check() {}, async consume() {} });
  const configured = (sync: string, into: string, supported?: string[]) => ({
    streams: [{ stream: { ...one, json_schema: {}, supported_sync_modes: supported }, sync_mode: sync, destination_sync_mode: into }],
  });
  const read = (definition: typeof source | typeof destination, content: unknown) => readCatalog(definition, scratch().file('k.json', content));

  test('with an unknown sync mode is refused, the field named', async () => {
    await expect(read(source, configured('cdc', 'append'))).rejects.toThrow(/k\.json is not valid: 'streams\.0\.sync_mode': expected one of "full_refresh"\|"incremental"/);
  });
  test('with a mode that the stream does not support is refused, the stream named', async () => {
    await expect(read(source, configured('incremental', 'append', ['full_refresh']))).rejects.toThrow('the stream n.one cannot be read as incremental, only as full_refresh');
  });
  test('with a mode that the destination does not write is refused, the stream named', async () => {
    await expect(read(destination, configured('incremental', 'append_dedup'))).rejects.toThrow('destination-x cannot write the stream n.one as append_dedup, only as append');
  });
});

test('a session of another version is refused', async () => {
  await expect(readSession(scratch().file('x.json', { version: 2 }))).rejects.toThrow(/^--session: .*x\.json is not valid: 'version'/);
});
