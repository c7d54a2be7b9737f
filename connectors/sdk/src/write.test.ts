import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { catalog, scratch, session, start, type Child } from './fixtures/start.js';

function write(config: object = {}, more?: object): Child & { journal(): Record<string, unknown>[] } {
  const files = scratch();
  const args = ['write', '--config', files.file('c.json', { journal: `${files.path}/journal`, ...config }), '--catalog', files.file('k.json', catalog)];
  if (more) args.push('--session', files.file('x.json', session(more)));
  const journal = (): Record<string, unknown>[] =>
    existsSync(`${files.path}/journal`) ? files.read('journal').split('\n').slice(0, -1).map((line) => JSON.parse(line) as Record<string, unknown>) : [];
  return Object.assign(start('destination-journal', ...args), { journal });
}

const record = (name: string, n: number, more: object = {}) => ({
  type: 'RECORD', record: { stream: name, ...(name === 'one' && { namespace: 'n' }), emitted_at: 1000.5, data: { n }, ...more },
});
const one = { stream_descriptor: { name: 'one', namespace: 'n' } };
const state = (n: number, id = n) => ({ type: 'STATE', state: { id, type: 'STREAM', stream: { ...one, stream_state: { n } } } });
const complete = (descriptor: object) => ({
  type: 'TRACE', trace: { type: 'STREAM_STATUS', emitted_at: 1.5, stream_status: { stream_descriptor: descriptor, status: 'COMPLETE' } },
});
const echoed = (child: { messages: readonly { type: string; [body: string]: unknown }[] }): unknown[] =>
  child.messages.flatMap(({ type, state: body }) => (type === 'STATE' ? [(body as { id: number }).id] : []));
const written = (journal: Record<string, unknown>[]): unknown[] => journal.flatMap((line) => line['write'] ?? []);

describe('a destination of batches', () => {
  test('gets records in batches, flushes, then sends the states back in order, with its count', async () => {
    const child = write().send(record('one', 1), record('one', 2), state(2), record('one', 3), state(3)).end();
    const { code, messages } = await child.finished;
    expect(code).toBe(0);
    expect(messages).toEqual([
      { type: 'STATE', state: { ...state(2).state, destinationStats: { recordCount: 2 } } },
      { type: 'STATE', state: { ...state(3).state, destinationStats: { recordCount: 1 } } },
    ]);
    expect(child.journal()).toEqual([
      { open: 2 }, { write: ['one:1', 'one:2'], emitted_at: 1000.5 }, { write: ['one:3'], emitted_at: 1000.5 }, { flush: true }, { dispose: true },
    ]);
  });

  test('keeps the bytes of a state, digits beyond a double included', async () => {
    const body = '{"type":"STREAM","stream":{"stream_descriptor":{"name":"one","namespace":"n"},"stream_state":{"n":12345678901234567890.10}}';
    const { stdout } = await write().send(`{"state":${body}},"type":"STATE"}`).end().finished;
    expect(stdout).toBe(`{"type":"STATE","state":${body},"destinationStats":{"recordCount":0}}}\n`);
  });

  test('closes batches by number, so that memory is bounded', async () => {
    const child = write();
    for (let n = 0; n < 2500; n++) child.send(record('one', n));
    await child.send(state(1)).end().finished;
    expect(child.journal().flatMap((line) => (line['write'] ? [(line['write'] as unknown[]).length] : []))).toEqual([1000, 1000, 500]);
  });

  test('closes batches by bytes', async () => {
    const child = write();
    for (let n = 0; n < 3; n++) child.send(record('one', n, { data: { n, pad: 'x'.repeat(700_000) } }));
    await child.send(state(1)).end().finished;
    expect(child.journal().flatMap((line) => (line['write'] ? [(line['write'] as unknown[]).length] : []))).toEqual([2, 1]);
  });

  test('flushes at a state once enough bytes have come', async () => {
    const child = write({}, { flush: { ms: 60_000, bytes: 1 } }).send(record('one', 1), state(1));
    await child.until(() => echoed(child).length === 1);
    child.send(record('one', 2), state(2));
    await child.until(() => echoed(child).length === 2);
  });

  test('flushes states that have waited long enough while nothing comes', async () => {
    const child = write({}, { flush: { ms: 200, bytes: 1e9 } }).send(record('one', 1), state(1), record('one', 2));
    await child.until(() => echoed(child).length === 1);
    expect(written(child.journal())).toEqual(['one:1']);
  });

  test('drops what follows the last state when the input ends without COMPLETE', async () => {
    const child = write().send(record('one', 1), state(1), record('one', 2)).end();
    const { code } = await child.finished;
    expect([code, echoed(child), written(child.journal())]).toEqual([0, [1], ['one:1']]);
    expect(child.journal().some((line) => line['complete'])).toBe(false);
  });

  test('flushes nothing once records beyond the last state are with the writer and the input ends', async () => {
    const child = write().send(record('one', 0), state(1));
    for (let n = 0; n < 1001; n++) child.send(record('one', n));
    await child.end().finished;
    expect([echoed(child), child.journal().some((line) => line['flush'])]).toEqual([[], false]);
  });

  test('with COMPLETE writes what follows the last state, too, and completes the stream once', async () => {
    const child = write().send(record('one', 1), complete(one.stream_descriptor), state(1), complete(one.stream_descriptor), complete({ name: 'nobody' })).end();
    await child.finished;
    expect(child.journal().slice(1, 4)).toEqual([{ write: ['one:1'], emitted_at: 1000.5 }, { flush: true }, { complete: 'one' }]);
    expect([child.journal().filter((line) => line['complete']).length, echoed(child)]).toEqual([1, [1]]);
  });

  test('takes half a last line for what a killed runner left', async () => {
    const child = write().send(record('one', 1), state(1));
    child.process.stdin!.write('{"type":"RECORD","record":{"stre');
    expect([(await child.end().finished).code, echoed(child)]).toEqual([0, [1]]);
  });

  test('refuses a line cut off in the middle of the input', async () => {
    const { code, messages } = await write().send('{"type":"RECORD","record":{"stre').end().finished;
    expect([code, messages[0]!['trace'].error.message]).toEqual([76, 'a line of 32 bytes on standard input is not valid JSON']);
  });

  test('refuses a record of a stream that the catalog does not have', async () => {
    const { code, messages } = await write().send(record('three', 1)).end().finished;
    expect([code, messages[0]!['trace'].error.message]).toEqual([76, 'a RECORD is of the stream three, which the catalog does not have']);
  });

  test('passes over junk, unknown types and records without data, each with one warning', async () => {
    const child = write().send('junk', 'junk', { type: 'DEBUG' }, record('one', 1, { data: null }), { type: 'LOG', log: {} }, record('one', 2), state(2)).end();
    const { code, messages } = await child.finished;
    expect([code, messages.filter(({ log }) => log?.level === 'WARN').length, written(child.journal())]).toEqual([0, 3, ['one:2']]);
  });

  test.each([['write_fails', 'the store is full'], ['flush_fails', 'the store is away']])('when %s, no state goes back, and the exit tells', async (behaviour, message) => {
    const child = write({ behaviour }).send(record('one', 1), state(1)).end();
    const { code, messages } = await child.finished;
    expect([code, echoed(child), messages.at(-1)!['trace'].error.message]).toEqual([75, [], message]);
    expect(child.journal().at(-1)).toEqual({ dispose: true });
  });

  test('on SIGTERM flushes up to the last state and exits 143', async () => {
    const child = write().send(record('one', 1), state(1), record('one', 2));
    await child.until(() => child.journal().length > 1);
    expect([(await child.kill('SIGTERM').finished).code, echoed(child), written(child.journal())]).toEqual([143, [1], ['one:1']]);
  });
});

describe('a destination of bytes', () => {
  const raw = (more?: object): Child => {
    const files = scratch();
    const appendOnly = { streams: [catalog.streams[0]] };
    const args = ['write', '--config', files.file('c.json', {}), '--catalog', files.file('k.json', appendOnly)];
    return start('destination-raw', ...args, ...(more ? ['--session', files.file('x.json', session(more))] : []));
  };

  test('owns stdin and answers by itself', async () => {
    const { code, messages } = await raw({}).send(record('one', 1), state(1)).end().finished;
    expect([code, messages]).toEqual([0, [{ type: 'TAPLINE', tapline: { type: 'OPENED', epoch: 1, checkpoint: null } }, state(1)]]);
  });

  test('hears SIGTERM as the end of its input when it asks for that', async () => {
    const child = raw().send(state(1));
    await child.until((messages) => messages.length === 1);
    expect((await child.kill('SIGTERM').finished).code).toBe(143);
  });
});
