import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { stateLine, tagState } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import { catalog, fixture, scratch, session, start, type Child, type Message } from './fixtures/start.js';

interface Given {
  readonly config?: object;
  readonly state?: unknown;
  readonly session?: object;
}

/** A `read` of source-counter, and where its confirmations are written. */
function read(given: Given = {}): Child & { confirmed(): unknown[] } {
  const files = scratch();
  const journal = `${files.path}/journal`;
  const args = ['read', '--config', files.file('c.json', { journal, ...given.config }), '--catalog', files.file('k.json', catalog)];
  if (given.state !== undefined) args.push('--state', files.file('s.json', given.state));
  if (given.session) args.push('--session', files.file('x.json', given.session));
  const confirmed = (): unknown[] => (existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line) as unknown) : []);
  return Object.assign(start('source-counter', ...args), { confirmed });
}

const statuses = (messages: readonly Message[]): string[] =>
  messages.flatMap(({ trace }) => (trace?.stream_status ? [`${trace.stream_status.stream_descriptor.name} ${trace.stream_status.status}`] : []));
const count = (messages: readonly Message[], type: string): number => messages.filter((message) => message.type === type).length;
const isEnd = ({ type, tapline }: Message): boolean => type === 'TAPLINE' && tapline.type === 'END';
const oneState = (n: number) => ({
  type: 'STATE', state: { type: 'STREAM', stream: { stream_descriptor: { name: 'one', namespace: 'n' }, stream_state: { n } } },
});
/** As the runner writes it. */
const ack = (n: number, id: number): string => stateLine(tagState(JSON.stringify(oneState(n).state), id, 2)).trimEnd();

describe('a RECORD line', () => {
  test('begins with type, stream, namespace, emitted_at, data, in this order and without a space', async () => {
    const { stdout } = await read().finished;
    const lines = stdout.split('\n').filter((line) => line.includes('"RECORD"'));
    expect(lines[0]).toMatch(/^\{"type":"RECORD","record":\{"stream":"one","namespace":"n","emitted_at":\d{13},"data":\{"n":1\}\}\}$/);
    expect(lines[3]).toMatch(/^\{"type":"RECORD","record":\{"stream":"two","emitted_at":\d{13},"data":\{"n":1\}\}\}$/);
  });

  test('has the agreed forms for what JSON does not have', async () => {
    const { messages } = await read({ config: { behaviour: 'values' } }).finished;
    expect(messages.find(({ type }) => type === 'RECORD')!['record'].data).toEqual({
      big: '9223372036854775808', small: 5, nan: 'NaN', inf: '-Infinity', bytes: 'aGk=', date: '1970-01-01T00:00:00.000Z',
    });
  });

  test('carries what was changed in it behind its data', async () => {
    const { stdout } = await read({ config: { behaviour: 'values' } }).finished;
    expect(stdout).toContain('},"meta":{"changes":[{"field":"cut","change":"TRUNCATED","reason":"SOURCE_FIELD_SIZE_LIMITATION"}]}}}\n');
  });

  test('that somebody else encoded passes as it is, after the STARTED of its stream', async () => {
    const { stdout, messages } = await read({ config: { behaviour: 'lines' } }).finished;
    expect(stdout).toContain('{"type":"RECORD","record":{"stream":"one","data":{"n":1}}}\n');
    expect(messages.findIndex(({ type }) => type === 'RECORD')).toBe(1);
  });
});

describe('stream statuses', () => {
  test('come by themselves: STARTED before the first message, COMPLETE at the end', async () => {
    const { code, messages } = await read().finished;
    expect([code, statuses(messages)]).toEqual([0, ['one STARTED', 'two STARTED', 'one COMPLETE', 'two COMPLETE']]);
  });

  test('of an empty stream are there, too', async () => {
    const { messages } = await read({ config: { count: 0 } }).finished;
    expect(statuses(messages)).toEqual(['one STARTED', 'one COMPLETE', 'two STARTED', 'two COMPLETE']);
  });

  test('are not repeated for a stream that said COMPLETE itself', async () => {
    const { messages } = await read({ config: { behaviour: 'early_complete' } }).finished;
    expect(statuses(messages)).toEqual(['one STARTED', 'one COMPLETE', 'two STARTED', 'two COMPLETE']);
  });

  test('say INCOMPLETE when the source fails, before its TRACE ERROR', async () => {
    const { code, messages } = await read({ config: { behaviour: 'config_error' } }).finished;
    expect([code, statuses(messages)]).toEqual([78, ['one STARTED', 'one INCOMPLETE']]);
    expect(messages.at(-1)!['trace'].error).toMatchObject({ failure_type: 'config_error', code: 'bad_host', message: 'the host is wrong: correct it' });
    expect(count(messages, 'RECORD')).toBe(2);
  });

  test('say INCOMPLETE of a stream that failed alone; the others go on, and the exit tells', async () => {
    const { code, messages } = await read({ config: { behaviour: 'stream_fails' } }).finished;
    expect([code, statuses(messages)]).toEqual([75, ['one STARTED', 'one INCOMPLETE', 'two STARTED', 'two COMPLETE']]);
    expect(messages.find(({ trace }) => trace?.error)!['trace'].error).toMatchObject({
      failure_type: 'transient_error', stream_descriptor: { name: 'one', namespace: 'n' },
    });
  });
});

describe('a state', () => {
  test('follows all records before it, and resumes the source', async () => {
    const { messages } = await read({ state: [oneState(2).state] }).finished;
    const records = messages.filter(({ type }) => type === 'RECORD').map(({ record }) => `${record.stream}:${record.data.n}`);
    expect(records).toEqual(['one:3', 'two:3']);
  });

  test('can be global', async () => {
    const { messages } = await read({ config: { behaviour: 'global' } }).finished;
    expect(messages.find(({ type }) => type === 'STATE')!['state']).toEqual({
      type: 'GLOBAL', global: { shared_state: { n: 2 }, stream_states: [{ stream_descriptor: { name: 'one', namespace: 'n' }, stream_state: { n: 2 } }] },
    });
  });

  test('of --state is confirmed at the start, with or without a session', async () => {
    const child = read({ state: [oneState(2).state] });
    expect((await child.finished).code).toBe(0);
    expect(child.confirmed()).toEqual([oneState(2).state]);
  });
});

describe('in a session', () => {
  test('the source says END and stays for acks until its stdin closes', async () => {
    const child = read({ session: session() });
    await child.until((messages) => messages.some(isEnd));
    child.send(ack(2, 7));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(child.process.exitCode).toBeNull();
    expect(child.confirmed()).toEqual([oneState(2).state]);
    const { code, messages } = await child.end().finished;
    expect([code, messages.filter(isEnd).length, statuses(messages).at(-1)]).toEqual([0, 1, 'two COMPLETE']);
  });

  test('it is closed once, behind its last confirmation, and when it failed', async () => {
    const child = read({ config: { tell_close: true }, session: session() });
    await child.until((messages) => messages.some(isEnd));
    child.send(ack(2, 7)).end();
    await child.finished;
    expect(child.confirmed()).toEqual([oneState(2).state, 'closed']);
    const failing = read({ config: { tell_close: true, behaviour: 'transient_error' }, session: session() });
    await failing.finished;
    expect(failing.confirmed()).toEqual(['closed']);
  });

  test('without a session it says nothing of it and does not wait', async () => {
    const { code, messages } = await read().finished;
    expect([code, messages.some(isEnd)]).toEqual([0, false]);
  });

  test('acks are confirmed while the source still reads', async () => {
    const child = read({ config: { count: 40, delay_ms: 20 }, session: session() });
    await child.until((messages) => count(messages, 'STATE') > 0);
    child.send(ack(2, 1));
    await child.until((messages) => count(messages, 'RECORD') > 20);
    expect(child.confirmed()).toEqual([oneState(2).state]);
  });

  test('of the acks that pile up the newest is confirmed, one at a time', async () => {
    const child = read({ config: { confirm_ms: 150 }, session: session() });
    await child.until((messages) => messages.some(isEnd));
    child.send(ack(1, 1));
    await new Promise((resolve) => setTimeout(resolve, 50));
    child.send(ack(2, 2), ack(3, 3), ack(4, 4)).end();
    expect((await child.finished).code).toBe(0);
    expect(child.confirmed()).toEqual([oneState(1).state, oneState(4).state]);
  });

  test('SIGTERM stops it at the next state, and it stays for the last acks: END says that it was stopped', async () => {
    const child = read({ config: { count: 1000, delay_ms: 10, every: 10 }, session: session() });
    await child.until((messages) => count(messages, 'RECORD') > 12);
    child.kill('SIGTERM');
    await child.until((messages) => messages.some(isEnd));
    child.send(ack(20, 5));
    while (child.confirmed().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(child.process.exitCode).toBeNull();
    const { code, messages } = await child.end().finished;
    expect([code, child.confirmed()]).toEqual([143, [oneState(20).state]]);
    expect(messages.at(-1)!['tapline']).toEqual({ type: 'END', stopped: true });
    expect(statuses(messages)).toEqual(['one STARTED', 'one INCOMPLETE']);
  });

  test('stopped, it goes by itself in the end, though nobody closes its stdin', async () => {
    const child = read({ session: session() });
    await child.until((messages) => messages.some(isEnd));
    expect((await child.kill('SIGTERM').finished).code).toBe(143);
  }, 15_000);

  test('a confirmation that fails fails the run', async () => {
    const child = read({ config: { behaviour: 'confirm_fails', count: 1000, delay_ms: 5 }, session: session() });
    await child.until((messages) => count(messages, 'STATE') > 0);
    const { code, messages } = await child.send(ack(2, 1)).finished;
    expect([code, messages.at(-1)!['trace'].error.message, messages.some(isEnd)]).toEqual([75, 'the slot cannot be moved', false]);
  });

  test('junk on stdin is passed over with a warning', async () => {
    const child = read({ session: session() });
    const { code, messages } = await child.send('', 'hello', '{"type":"STATE"}', ack(2, 1)).end().finished;
    expect(code).toBe(0);
    expect(messages.filter(({ log }) => log?.level === 'WARN').length).toBe(3);
    expect(child.confirmed()).toEqual([oneState(2).state]);
  });

  test('the end of stdin before END stops the source at the next state, cleanly', async () => {
    const child = read({ config: { count: 1000, delay_ms: 10, every: 10 }, session: session() });
    await child.until((messages) => count(messages, 'RECORD') > 12);
    const { code, messages } = await child.end().finished;
    expect(code).toBe(0);
    const data = messages.filter(({ type }) => type === 'RECORD' || type === 'STATE');
    expect([data.at(-1)!.type, count(messages, 'RECORD') % 10, messages.some(isEnd)]).toEqual(['STATE', 0, false]);
    expect(statuses(messages)).toEqual(['one STARTED', 'one INCOMPLETE']);
  });

  test.each([['source.after_state', 1, false], ['source.after_end', 2, true]])('the failpoint %s kills it there', async (name, states, end) => {
    const { signal, messages } = await read({ session: session({ failpoints: [`${name}:kill`] }) }).finished;
    expect([signal, count(messages, 'STATE'), messages.some(isEnd)]).toEqual(['SIGKILL', states, end]);
  });

  test('the failpoint source.before_confirm kills it there', async () => {
    const child = read({ session: session({ failpoints: ['source.before_confirm:kill'] }) }).send(ack(2, 1));
    expect((await child.finished).signal).toBe('SIGKILL');
    expect(child.confirmed()).toEqual([]);
  });
});

describe('changes within a session', () => {
  const run = (extensions: readonly string[]) => read({ config: { behaviour: 'changes' }, session: session({ extensions }) }).end().finished;
  const bodies = (messages: readonly Message[]) => messages.filter(({ type }) => type === 'TAPLINE').map(({ tapline }) => tapline);

  test('a new schema, and the begin and end of a generation, stand where the source put them among the records', async () => {
    const { messages } = await run(['end', 'schema', 'generation', 'lag']);
    const told = messages.filter(({ type }) => type === 'RECORD' || type === 'TAPLINE').map(({ record, tapline }) => record?.stream ?? tapline.phase ?? tapline.type);
    expect(told.slice(0, 7)).toEqual(['one', 'SCHEMA', 'SCHEMA', 'begin', 'three', 'complete', 'LAG']);
    expect(bodies(messages)[0]).toEqual({
      type: 'SCHEMA', schema_version: 1,
      stream: expect.objectContaining({ name: 'three', namespace: 'n', source_defined_primary_key: [['n']] }) as object,
    });
    expect(bodies(messages)[2]).toEqual({
      type: 'GENERATION', stream_descriptor: { name: 'three', namespace: 'n' }, generation_id: 1, minimum_generation_id: 1, phase: 'begin',
    });
  });

  test('a stream that appears gets its statuses like the others, STARTED behind its SCHEMA', async () => {
    const { messages } = await run(['end', 'schema', 'generation']);
    expect(statuses(messages)).toEqual(['one STARTED', 'three STARTED', 'one COMPLETE', 'two STARTED', 'two COMPLETE', 'three COMPLETE']);
    const started = messages.findIndex(({ trace }) => trace?.stream_status?.stream_descriptor.name === 'three');
    expect(messages.findIndex(({ tapline }) => tapline?.type === 'SCHEMA')).toBeLessThan(started);
  });

  test('the lag is told to the runner alone', async () => {
    expect(bodies((await run(['end', 'lag'])).messages)[0]).toEqual({ type: 'LAG', bytes: 10, seconds: 0.5 });
    expect(bodies((await run(['end'])).messages)).toEqual([{ type: 'END' }]);
  });

  test('none of it is written where the runner does not use it; of a schema one warning a stream tells', async () => {
    const { messages } = await run(['end']);
    expect(bodies(messages)).toEqual([{ type: 'END' }]);
    expect(messages.filter(({ log }) => log?.message.includes('n.three has changed')).length).toBe(1);
    const plain = await read({ config: { behaviour: 'changes' } }).finished;
    expect([plain.code, bodies(plain.messages)]).toEqual([0, []]);
  });
});

describe('a batch', () => {
  function batches(config: object = {}, more: object = {}) {
    const { path: dir } = scratch();
    const given = { config: { behaviour: 'batches', padding: 10, ...config }, session: session({ batch: { dir, format: 'parquet', max_bytes: 25 }, ...more }) };
    return Object.assign(read(given), { dir, there: () => readdirSync(dir) });
  }
  const isBatch = ({ tapline }: Message): boolean => tapline?.type === 'BATCH';

  test('stands behind the STARTED of its stream and the records before it, and a state behind it', async () => {
    const child = batches({ count: 2 });
    await child.until((told) => told.some(isEnd));
    const { code, messages } = await child.end().finished;
    expect([code, messages.map((one) => one['tapline']?.type ?? one['trace']?.stream_status?.status ?? one.type).slice(0, 5)]).toEqual([0, ['STARTED', 'RECORD', 'BATCH', 'BATCH', 'STATE']]);
    expect(messages.find(isBatch)!['tapline']).toEqual({
      type: 'BATCH', stream_descriptor: { name: 'one', namespace: 'n' }, path: '000001.parquet', format: 'parquet', columns: ['n'], rows: 1, bytes: 10, emitted_at: 5,
    });
  });

  test('whose file lies there is announced before the next one is waited for; once it is deleted, the next one comes', async () => {
    const child = batches({ count: 4 });
    await child.until((messages) => messages.filter(isBatch).length === 2);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([child.messages.filter(isBatch).length, child.there().length]).toEqual([2, 2]);
    rmSync(join(child.dir, '000001.parquet'));
    await child.until((messages) => messages.filter(isBatch).length === 3);
    for (const name of child.there()) rmSync(join(child.dir, name), { force: true });
    await child.until((messages) => messages.some(isEnd));
    expect((await child.end().finished).messages.filter(isBatch).length).toBe(4);
  });

  test('that waits for credit does not hold up a source that is asked to stop', async () => {
    const child = batches({ count: 4 });
    await child.until((messages) => messages.filter(isBatch).length === 2);
    const { code, messages } = await child.kill('SIGTERM').end().finished;
    expect([code, messages.some(({ trace }) => trace?.error), child.there().length]).toEqual([143, false, 2]);
  });

  test('that the run does not use is a fault of the source', async () => {
    const { code, messages } = await read({ config: { behaviour: 'batches' }, session: session() }).finished;
    expect([code, messages.at(-1)!['trace'].error.message]).toEqual([1, expect.stringContaining('a batch of n.one cannot be sent')]);
  });

  test.each([['source.after_batch', 1, 0], ['source.after_batch_line@2', 2, 2]])('the failpoint %s kills it there', async (name, files, lines) => {
    const child = batches({}, { failpoints: [`${name}:kill`] });
    const { signal, messages } = await child.finished;
    expect([signal, child.there().length, messages.filter(isBatch).length]).toEqual(['SIGKILL', files, lines]);
  });
});

describe('SIGTERM and SIGINT', () => {
  test.each([['SIGTERM', 143], ['SIGINT', 130]] as const)('%s stops at the next state, without COMPLETE, with exit %i', async (name, exit) => {
    const child = read({ config: { count: 1000, delay_ms: 10, every: 10 } });
    await child.until((messages) => count(messages, 'RECORD') > 12);
    const { code, messages } = await child.kill(name).finished;
    const data = messages.filter(({ type }) => type === 'RECORD' || type === 'STATE');
    expect([code, data.at(-1)!.type, statuses(messages)]).toEqual([exit, 'STATE', ['one STARTED', 'one INCOMPLETE']]);
  });

  test('stop at once a source that waits at a boundary', async () => {
    const child = read({ config: { behaviour: 'idle' } });
    await child.until((messages) => count(messages, 'STATE') === 1);
    const began = Date.now();
    expect((await child.kill('SIGTERM').finished).code).toBe(143);
    expect(Date.now() - began).toBeLessThan(4000);
  });

  test('are heard by the generator as the abort signal, and what it throws then is no failure', async () => {
    const child = read({ config: { behaviour: 'abort_error', every: 3 } });
    await child.until((messages) => count(messages, 'RECORD') === 2);
    const { code, messages } = await child.kill('SIGTERM').finished;
    expect([code, messages.some(({ trace }) => trace?.error)]).toEqual([143, false]);
  });

  test('reach a source that never waits for anything', async () => {
    const child = read({ config: { count: 1e9, every: 50 } });
    await child.until((messages) => messages.length > 100);
    expect((await child.kill('SIGTERM').finished).code).toBe(143);
  });

  test('twice end the process at once', async () => {
    const child = read({ config: { count: 1000, delay_ms: 50, every: 900 } });
    await child.until((messages) => count(messages, 'RECORD') > 0);
    child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await child.kill('SIGTERM').finished).code).toBe(143);
  });
});

describe('backpressure', () => {
  test('a source whose reader sleeps stays small', async () => {
    const files = scratch();
    const args = ['read', '--config', files.file('c.json', { count: 200_000, padding: 1000, every: 1e9 }), '--catalog', files.file('k.json', catalog)];
    const child = spawn(process.execPath, [fixture('source-counter'), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const rss = Number(execFileSync('ps', ['-o', 'rss=', '-p', String(child.pid)], { encoding: 'utf8' }));
      expect(rss).toBeLessThan(150_000);
    } finally {
      child.kill('SIGKILL');
    }
  });
});

describe('the runner\'s death', () => {
  test('is noticed by a failed write: exit 1, without a word', async () => {
    const child = read({ config: { count: 100_000, delay_ms: 1 } });
    await child.until((messages) => count(messages, 'RECORD') > 0);
    child.process.stdout!.destroy();
    const { code, stderr } = await child.finished;
    expect([code, stderr]).toEqual([1, '']);
  });

  test('is noticed by the change of the parent, within 10 seconds', async () => {
    const files = scratch();
    const args = ['read', '--config', files.file('c.json', { behaviour: 'idle', every: 1e9 }), '--catalog', files.file('k.json', catalog)];
    // A parent that starts the source, with an output that never fails, and dies.
    const parent = spawn('sh', ['-c', ': > out; "$0" "$@" > out 2> err & echo $!; exec sleep 600', process.execPath, fixture('source-counter'), ...args], {
      cwd: files.path, stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = Number(await new Promise<string>((resolve) => parent.stdout.once('data', (data: Buffer) => resolve(data.toString()))));
    while (!files.read('out').includes('"STATE"')) await new Promise((resolve) => setTimeout(resolve, 20));
    parent.kill('SIGKILL');
    const began = Date.now();
    while (isAlive(pid) && Date.now() - began < 12_000) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(Date.now() - began).toBeLessThan(10_000);
  }, 15_000);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}
