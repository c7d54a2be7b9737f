import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { LineWriter, configError, transientError, type ConfiguredStream, type Session } from '@tapline/protocol';
import { Output } from '@tapline/sdk';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeSink } from '../fake-sink.test.support.js';
import { parquetColumns, readAll } from '../read-parquet.test.support.js';
import type { ColumnarOptions } from './options.js';
import { writeColumnar } from './write-columnar.js';

let directory: string;
let sink: FakeSink;
const logged: string[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tapline-ingest-'));
  sink = new FakeSink(directory);
  logged.length = 0;
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const session: Session = { version: 1, run_id: 'r', sync: 's', source: '', extensions: [], continuous: false };
const columns = { id: { type: 'integer', tapline_type: 'int64' }, note: { type: 'string', tapline_type: 'text' } };
const configured = (name: string, more: Partial<ConfiguredStream> = {}): ConfiguredStream => ({
  stream: { name, namespace: 'public', json_schema: { properties: columns } }, sync_mode: 'incremental', destination_sync_mode: 'append', ...more,
});

interface Start {
  readonly streams?: ConfiguredStream[];
  readonly session?: Session | undefined;
  readonly options?: Partial<ColumnarOptions>;
}

/** A destination that runs: lines in, lines out. */
function start({ streams = [configured('a'), configured('b')], options = {}, ...rest }: Start = {}) {
  const input = new PassThrough();
  const stdout = new PassThrough();
  let out = '';
  stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    for (const line of text.split('\n')) if (line.includes('"STATE"')) sink.calls.push(`echo ${/"n":(\d+)/.exec(line)?.[1]}`);
  });
  const stop = new AbortController();
  const done = writeColumnar({
    input, sink, output: new Output(new LineWriter(stdout)), catalog: { streams }, session: 'session' in rest ? rest.session : session,
    options: { stagingDirectory: join(directory, 'staging'), sync: 's', ...options }, signal: stop.signal, log: (_level, message) => void logged.push(message),
  });
  done.catch(() => undefined);
  return {
    done, stop,
    send: (...lines: string[]) => input.write(lines.map((line) => `${line}\n`).join('')),
    raw: (bytes: string) => input.write(bytes),
    /** Each line as a block of its own. */
    async trickle(...lines: string[]): Promise<void> {
      for (const line of lines) {
        input.write(`${line}\n`);
        await sleep(2);
      }
    },
    end: () => {
      input.end();
      return done;
    },
    lines: () => out.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

async function run(lines: readonly string[], options: Start = {}) {
  const destination = start(options);
  destination.send(...lines);
  await destination.end();
  await sleep(1);
  return destination;
}

const record = (stream: string, id: number, note = ''): string =>
  `{"type":"RECORD","record":{"stream":"${stream}","namespace":"public","emitted_at":1700000000000,"data":{"id":${id},"note":"${note}"}}}`;
const records = (stream: string, from: number, to: number, note = ''): string[] => Array.from({ length: to - from + 1 }, (_, i) => record(stream, from + i, note));
const state = (stream: string, n: number): string =>
  `{"type":"STATE","state":{"id":${n},"type":"STREAM","stream":{"stream_descriptor":{"name":"${stream}","namespace":"public"},"stream_state":{"n":${n}}}}}`;
/** As the runner tags those of a source. */
const taggedGlobal = (n: number): string => `{"type":"STATE","state":{"sourceStats":{"recordCount":9},"id":${n},"type":"GLOBAL","global":{"shared_state":{"n":${n}},"stream_states":[]}}}`;
const globalState = '{"type":"STATE","state":{"type":"GLOBAL","global":{"shared_state":{"n":1},"stream_states":[]}}}';
const complete = (stream: string): string =>
  `{"type":"TRACE","trace":{"type":"STREAM_STATUS","emitted_at":1.5,"stream_status":{"stream_descriptor":{"name":"${stream}","namespace":"public"},"status":"COMPLETE"}}}`;
const generation = (stream: string, id: number, minimum: number, phase = 'begin'): string =>
  `{"type":"TAPLINE","tapline":{"type":"GENERATION","stream_descriptor":{"name":"${stream}","namespace":"public"},"generation_id":${id},"minimum_generation_id":${minimum},"phase":"${phase}"}}`;

const ids = async (stream?: string): Promise<number[]> => (await readAll(sink.committed(stream))).map((row) => Number(row['id']));
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('the order of things', () => {
  it('OPENED comes first, and a state only after stage, commit and publish', async () => {
    const { lines } = await run([...records('a', 1, 3), state('a', 1)]);
    expect(sink.calls).toEqual(['open', 'stage a 3', 'commit 1', 'publish', 'echo 1']);
    expect(lines()).toEqual([
      { type: 'TAPLINE', tapline: { type: 'OPENED', epoch: 1, checkpoint: null } },
      { type: 'STATE', state: { ...(JSON.parse(state('a', 1)) as { state: object }).state, destinationStats: { recordCount: 3 } } },
    ]);
  });

  it('states go back in order, each with the records since the one before it of its stream', async () => {
    const { lines } = await run([record('a', 1), record('b', 2), state('a', 1), record('b', 3), state('b', 2), record('a', 4), record('a', 5), state('a', 3)]);
    expect(lines().slice(1).map((line) => (line['state'] as { id: number; destinationStats: { recordCount: number } })).map((s) => [s.id, s.destinationStats.recordCount])).toEqual([[1, 1], [2, 2], [3, 2]]);
    expect(sink.commits).toHaveLength(1);
    expect(sink.commits[0]).toMatchObject({ seq: 1, stateId: 3 });
    expect(sink.commits[0]!.states.map((body) => (JSON.parse(body) as { id: number }).id)).toEqual([3, 2]);
  });

  it('a GLOBAL state counts the records of all streams', async () => {
    const { lines } = await run([record('a', 1), record('b', 2), globalState, record('b', 2), globalState]);
    expect(lines().slice(1).map((line) => (line['state'] as { destinationStats: object }).destinationStats)).toEqual([{ recordCount: 2 }, { recordCount: 1 }]);
    expect(sink.commits[0]!.states).toHaveLength(1);
  });

  it('GLOBAL states replace one another, and their id is known however long they are', async () => {
    const { lines } = await run([record('a', 1), taggedGlobal(4), record('b', 2), taggedGlobal(5)]);
    expect(sink.commits[0]).toMatchObject({ stateId: 5, states: [expect.stringContaining('"id":5')] });
    expect(lines().slice(1).map((line) => (line['state'] as { id: number }).id)).toEqual([4, 5]);
  });

  it('long states do not pile up until the flush: they bring it on', async () => {
    const long = (n: number): string => taggedGlobal(n).replace('"stream_states":[]', `"stream_states":[],"more":"${'x'.repeat(1 << 20)}"`);
    const destination = start({ options: { flush: { ms: 100_000 } } });
    destination.send(...range(1, 9).map(long));
    await vi.waitFor(() => expect(sink.calls).toContain('echo 8'));
    await destination.end();
    expect(sink.commits.map((commit) => commit.stateId)).toEqual([8, 9]);
  });

  it("records after a stream's own last state wait for its next one, whatever other streams send", async () => {
    const destination = start({ options: { flush: { rows: 2 } } });
    await destination.trickle(record('a', 1), state('a', 1), record('a', 2), record('a', 3), record('b', 4), state('b', 2));
    await vi.waitFor(() => expect(sink.calls).toContain('echo 2'));
    expect(await ids('a')).toEqual([1]);
    expect(await ids('b')).toEqual([4]);
    destination.send(complete('a'), state('b', 3));
    await destination.end();
    expect(await ids('a')).toEqual([1, 2, 3]);
    const orders = (await readAll(sink.committed('a'))).map((row) => row['_tapline_order']);
    expect(new Set(orders).size).toBe(3);
  });

  it('a flush by rows commits at the next state, and reading goes on meanwhile', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    sink.hook = (call) => (call === 'commit 1' ? held : undefined);
    const destination = start({ options: { flush: { rows: 2 }, chunkBytes: 300 } });
    await destination.trickle(...records('a', 1, 2), state('a', 1), ...records('a', 3, 12));
    await vi.waitFor(() => expect(sink.calls.filter((call) => call.startsWith('stage')).length).toBeGreaterThan(1));
    expect(sink.commits).toHaveLength(0);
    destination.send(state('a', 2));
    await sleep(50);
    expect(sink.calls).not.toContain('commit 2');
    release();
    await destination.end();
    expect(sink.calls.filter((call) => !call.startsWith('stage'))).toEqual(['open', 'commit 1', 'publish', 'echo 1', 'commit 2', 'publish', 'echo 2']);
    expect(await ids()).toEqual(range(1, 12));
  });

  it('a flush by time comes though no line does, and leaves what follows the last state for later', async () => {
    const destination = start({ options: { flush: { ms: 60 } } });
    destination.send(...records('a', 1, 2), state('a', 1), ...records('a', 3, 4));
    await vi.waitFor(() => expect(sink.calls).toContain('echo 1'));
    expect(await ids()).toEqual([1, 2]);
    destination.send(record('a', 5), state('a', 2));
    await vi.waitFor(() => expect(sink.calls).toContain('echo 2'));
    await destination.end();
    const rows = await readAll(sink.committed());
    expect(rows.map((row) => Number(row['id']))).toEqual([1, 2, 3, 4, 5]);
    const orders = rows.map((row) => String(row['_tapline_order']));
    expect([...orders].sort()).toEqual(orders);
    expect(new Set(orders).size).toBe(5);
  });

  it('an early chunk is staged without its state, and committed only with it; orders go on', async () => {
    const destination = start({ options: { chunkBytes: 400, flush: { ms: 100_000 } } });
    await destination.trickle(...records('a', 1, 30));
    await vi.waitFor(() => expect(sink.calls.filter((call) => call.startsWith('stage')).length).toBeGreaterThan(1));
    expect(sink.calls).not.toContain('commit 1');
    destination.send(state('a', 1), record('a', 31), state('a', 2));
    await destination.end();
    const rows = await readAll(sink.committed());
    expect(rows.map((row) => Number(row['id']))).toEqual(range(1, 31));
    expect(rows.map((row) => Number(`0x${String(row['_tapline_order']).slice(16)}`))).toEqual(range(1, 31));
    expect(sink.commits).toHaveLength(1);
  });

  it('a state without records is committed and echoed', async () => {
    await run([state('a', 1)]);
    expect(sink.calls).toEqual(['open', 'commit 1', 'publish', 'echo 1']);
  });

  it('nothing at all makes no commit', async () => {
    await run([]);
    expect(sink.calls).toEqual(['open']);
  });
});

describe('the end of the input', () => {
  it('without COMPLETE what follows the last state is discarded', async () => {
    await run([record('a', 1), state('a', 1), record('a', 2), generation('b', 1, 1), record('b', 3)]);
    expect(await ids()).toEqual([1]);
    expect(sink.commits[0]).toMatchObject({ begun: [], completed: [] });
    expect(logged.join()).toMatch(/public\.a: 1 records/);
  });

  it('with COMPLETE it is committed, for that stream alone', async () => {
    await run([record('a', 1), state('a', 1), record('a', 2), record('b', 3), complete('a')]);
    expect(await ids('a')).toEqual([1, 2]);
    expect(await ids('b')).toEqual([]);
  });

  it('after a generation that is complete discards what follows the last state: changes may follow its rows', async () => {
    await run([generation('a', 2, 2), record('a', 1), globalState, generation('a', 2, 2, 'complete'), record('a', 2)]);
    expect(await ids()).toEqual([1]);
    expect(sink.commits[0]!.completed).toEqual([]);
    expect(logged.join()).toMatch(/public\.a: 1 records/);
  });

  it('after COMPLETE and yet another record discards what follows the last state', async () => {
    await run([record('a', 1), state('a', 1), record('a', 2), complete('a'), record('a', 3)]);
    expect(await ids()).toEqual([1]);
  });

  it('completes the open generation, also if a state follows COMPLETE', async () => {
    for (const tail of [[], [state('a', 2)]]) {
      sink = new FakeSink(directory);
      await run([generation('a', 2, 2), record('a', 1), state('a', 1), record('a', 2), complete('a'), ...tail]);
      expect(sink.commits[0]!.begun).toEqual([{ stream: { name: 'a', namespace: 'public' }, generation: 2, minimum: 2 }]);
      expect(sink.commits[0]!.completed).toEqual([{ name: 'a', namespace: 'public', generation: 2 }]);
      expect(sink.commits[0]!.staged.every((file) => file.generation === 2)).toBe(true);
      expect(await ids()).toEqual([1, 2]);
    }
  });

  it('in the middle of a line is an error; what a state covered before is committed', async () => {
    const destination = start();
    destination.send(record('a', 1), state('a', 1));
    destination.raw(record('a', 2).slice(0, -5));
    await expect(destination.end()).rejects.toMatchObject({ code: 'protocol' });
    expect(await ids()).toEqual([1]);
    expect(sink.calls).toContain('echo 1');
  });

  it('after a whole message without a newline takes the message', async () => {
    const destination = start();
    destination.send(record('a', 1));
    destination.raw(state('a', 1));
    await destination.end();
    expect(await ids()).toEqual([1]);
  });

  it('a signal commits up to the last state and resolves', async () => {
    const destination = start();
    destination.send(record('a', 1), state('a', 1), record('a', 2), complete('a'));
    await sleep(30);
    destination.stop.abort();
    await destination.done;
    expect(await ids()).toEqual([1]);
    expect(sink.calls.at(-1)).toBe('echo 1');
  });
});

describe('generations', () => {
  const checkpoint = (open: Record<string, number> = {}) => ({
    state_id: 9, source: '', states: [JSON.parse(state('a', 8)).state, JSON.parse(state('b', 9)).state].map((body) => JSON.stringify(body)),
    generations: { 'public.a': 1, 'public.b': 1, ...open }, open_generations: open,
  });

  it("a new one drops the stream's old state from the checkpoint, though only another stream sends one", async () => {
    sink.checkpoint = checkpoint();
    sink.seq = 4;
    await run([generation('a', 2, 2), generation('b', 2, 2), record('a', 1), state('a', 10)]);
    expect(sink.commits[0]).toMatchObject({ seq: 5, stateId: 10 });
    expect(sink.commits[0]!.states.map((body) => (JSON.parse(body) as { id: number }).id)).toEqual([10]);
    expect(sink.commits[0]!.begun).toHaveLength(2);
  });

  it('an open one that begins again goes on, with its state', async () => {
    sink.checkpoint = checkpoint({ 'public.b': 2 });
    await run([generation('b', 2, 2), record('b', 1), state('a', 10), record('b', 2), complete('b')]);
    expect(sink.commits[0]!.states).toHaveLength(2);
    expect(sink.commits[0]!.staged.every((file) => file.generation === 2)).toBe(true);
    expect(sink.commits[0]!.completed).toMatchObject([{ name: 'b', generation: 2 }]);
  });

  const changes = (): unknown[] => sink.commits.map(({ begun, completed }) => [begun.map((begin) => `${begin.stream.name}${begin.generation}`), completed.map((end) => `${end.name}${end.generation}`)]);

  it('one that ends and one that begins within a flush come in one commit, in order', async () => {
    await run([generation('a', 2, 2), record('a', 1), complete('a'), state('a', 1), generation('a', 3, 3), record('a', 2), state('a', 2)]);
    expect(changes()).toEqual([[['a2', 'a3'], ['a2']]]);
    expect(sink.commits[0]!.staged.map((file) => file.generation)).toEqual([2, 3]);
  });

  it('rows of one that another replaced before any state are not staged; the sink still learns of it', async () => {
    await run([generation('a', 2, 2), record('a', 1), generation('a', 3, 3), record('a', 2), state('a', 1)]);
    expect(changes()).toEqual([[['a2', 'a3'], []]]);
    expect(await ids()).toEqual([2]);
  });

  it('rows of one that another replaced after they were staged early are told to the sink as of the first', async () => {
    const destination = start({ options: { chunkBytes: 300 } });
    await destination.trickle(generation('a', 2, 2), ...records('a', 1, 5), generation('a', 3, 3), record('a', 6), state('a', 1));
    await destination.end();
    expect(changes()).toEqual([[['a2', 'a3'], []]]);
    expect(new Set(sink.commits[0]!.staged.map((file) => file.generation))).toEqual(new Set([2, 3]));
  });

  it('TRUNCATEs of several tables, and several of one, may lie between two GLOBAL states: rows before them are not staged', async () => {
    const truncate = (stream: string, id: number): string[] => [generation(stream, id, id), generation(stream, id, id, 'complete')];
    await run([record('a', 1), record('b', 2), ...truncate('a', 2), ...truncate('b', 2), record('a', 3), ...truncate('a', 3), record('a', 4), globalState]);
    expect(changes()).toEqual([[['a2', 'b2', 'a3'], ['a2', 'b2', 'a3']]]);
    expect(await ids()).toEqual([4]);
    expect(sink.commits[0]!.staged.map((file) => file.generation)).toEqual([3]);
  });

  it('rows before a TRUNCATE are staged where the sink keeps a history, and those of a copy that was given up are not', async () => {
    sink.histories.add('a');
    const truncate = (stream: string, id: number): string[] => [generation(stream, id, id), generation(stream, id, id, 'complete')];
    await run([record('a', 1), record('b', 2), ...truncate('a', 2), ...truncate('b', 2), record('a', 3), generation('a', 3, 3), record('a', 4), ...truncate('a', 4), record('a', 5), globalState]);
    expect(changes()).toEqual([[['a2', 'b2', 'a3', 'a4'], ['a2', 'b2', 'a4']]]);
    expect([await ids('a'), await ids('b')]).toEqual([[1, 3, 5], []]);
    expect(sink.commits[0]!.staged.map((file) => file.generation)).toEqual([1, 2, 4]);
  });

  it('begin and end with the first state after them, never earlier', async () => {
    const destination = start({ options: { flush: { rows: 1 } } });
    await destination.trickle(record('a', 1), globalState, record('a', 2), generation('a', 2, 2), record('a', 3), generation('a', 2, 2, 'complete'), record('a', 4));
    await vi.waitFor(() => expect(sink.calls).toContain('publish'));
    expect([changes(), await ids()]).toEqual([[[[], []]], [1]]);
    destination.send(globalState);
    await destination.end();
    expect(changes()).toEqual([[[], []], [['a2'], ['a2']]]);
    expect(sink.commits[1]!.staged.map((file) => file.generation)).toEqual([2]);
    expect(await ids()).toEqual([1, 3, 4]);
  });

  it("another stream's state begins none ahead of the rows of the one before it", async () => {
    const destination = start({ options: { flush: { rows: 1 } } });
    await destination.trickle(generation('a', 2, 2), record('a', 1), state('a', 1), record('a', 2), generation('a', 2, 2, 'complete'), generation('a', 3, 3), record('a', 3), record('b', 1), state('b', 2));
    await vi.waitFor(() => expect(sink.commits).toHaveLength(2));
    expect(changes()).toEqual([[['a2'], []], [[], []]]);
    destination.send(state('a', 3));
    await destination.end();
    expect(changes().at(-1)).toEqual([['a3'], ['a2']]);
    expect(sink.commits.at(-1)!.staged.map((file) => file.generation)).toEqual([2, 3]);
  });

  it('an end that comes late, for one that another replaced, ends nothing', async () => {
    await run([generation('a', 2, 2), record('a', 1), generation('a', 3, 3), generation('a', 2, 2, 'complete'), record('a', 2), globalState]);
    expect(changes()).toEqual([[['a2', 'a3'], []]]);
  });

  it('cannot go back', async () => {
    sink.checkpoint = checkpoint({ 'public.a': 5 });
    await expect(run([generation('a', 4, 4), record('a', 1)])).rejects.toMatchObject({ code: 'protocol' });
  });

  it('without a session an overwrite begins a new one, and ids of the catalog count', async () => {
    sink.checkpoint = checkpoint({ 'public.b': 4 });
    const streams = [
      configured('a', { destination_sync_mode: 'overwrite' }), configured('b', { generation_id: 4, minimum_generation_id: 4 }), configured('c', { generation_id: 7, minimum_generation_id: 0 }),
    ];
    const { lines } = await run([record('a', 1), record('b', 2), record('c', 3), complete('a'), complete('b'), complete('c')], { session: undefined, streams });
    expect(sink.commits[0]!.begun.map(({ stream, generation: g, minimum }) => [stream.name, g, minimum])).toEqual([['a', 2, 2], ['b', 4, 4]]);
    expect(sink.commits[0]!.completed.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(lines()).toEqual([]);
    expect(sink.commits[0]!.staged.map(({ stream, generation: g }) => [stream.name, g])).toEqual([['a', 2], ['b', 4], ['c', 7]]);
  });
});

describe('lines', () => {
  it('of many streams may alternate, in any order of keys', async () => {
    const foreign = (id: number): string => `{"record":{"data":{"id":${id},"note":"{\\"type\\":\\"STATE\\"}"},"stream":"b","emitted_at":1,"namespace":"public"},"type":"RECORD"}`;
    const lines = range(1, 40).map((id) => (id % 3 === 0 ? foreign(id) : record(id % 2 === 0 ? 'a' : 'b', id)));
    await run([...lines, globalState]);
    expect(await ids('a')).toEqual(range(1, 40).filter((id) => id % 3 !== 0 && id % 2 === 0));
    expect(await ids('b')).toEqual(range(1, 40).filter((id) => id % 3 === 0 || id % 2 !== 0));
  });

  it('of hundreds of streams may alternate, names that begin alike included', async () => {
    const names = range(1, 300).map((n) => `t${n}`);
    const lines = range(1, 1500).map((id) => record(names[(id * 7) % names.length]!, id));
    const other = (id: number): string => `{"type":"RECORD","record":{"emitted_at":1,"namespace":"public","stream":"t${id}","data":{"id":${id}}}}`;
    await run([...lines, other(1), '', other(30), globalState], { streams: names.map((name) => configured(name)) });
    expect(sink.commits[0]!.staged.reduce((sum, file) => sum + file.rows, 0)).toBe(1502);
    for (const n of [1, 10, 100, 299]) {
      const own = range(1, 1500).filter((id) => (id * 7) % 300 === n - 1);
      expect(await ids(`t${n}`)).toEqual(n === 1 ? [...own, 1] : own);
    }
  });

  it('of streams of one name in two namespaces are told apart', async () => {
    const other = configured('a');
    const streams = [configured('a'), { ...other, stream: { ...other.stream, namespace: 'other' } }, { ...other, stream: { name: 'a', json_schema: other.stream.json_schema } }];
    const line = (id: number, namespace: string): string => `{"type":"RECORD","record":{"stream":"a","emitted_at":1,"data":{"id":${id}}${namespace}}}`;
    await run([line(1, ',"namespace":"public"'), line(2, ',"namespace":"other"'), line(3, ''), line(4, ',"namespace":"public"'), line(5, ',"namespace":null'), globalState], { streams });
    const byNamespace = Object.fromEntries(sink.commits[0]!.staged.map((file) => [String(file.stream.namespace), file.rows]));
    expect(byNamespace).toEqual({ public: 2, other: 1, undefined: 2 });
  });

  it('that are junk or of unknown types are told of once, and blank ones not at all', async () => {
    await run(['Traceback (most recent call last):', '', 'more', '{"type":"DEBUG","debug":{}}', '{"type":"DEBUG"}', '{"type":"LOG","log":{}}', record('a', 1), state('a', 1)]);
    expect(logged).toHaveLength(2);
    expect(await ids()).toEqual([1]);
  });

  it('of a stream that is not configured end the run by its name', async () => {
    await expect(run([record('a', 1), record('nobody', 2)])).rejects.toThrow(/public\.nobody/);
  });

  it('that are half a record end the run', async () => {
    await expect(run([record('a', 1).slice(0, -9), record('a', 2)])).rejects.toMatchObject({ code: 'protocol' });
    sink = new FakeSink(directory);
    await expect(run([record('a', 1), record('a', 1).slice(0, -9), state('a', 2)])).rejects.toThrow(/public\.a: record 2 /);
    expect(sink.commits).toHaveLength(0);
  });

  it('of states of two kinds end the run', async () => {
    await expect(run([globalState, state('a', 1)])).rejects.toMatchObject({ code: 'protocol' });
  });

  it('of a new schema have its columns from then on', async () => {
    const stream = { name: 'a', namespace: 'public', json_schema: { properties: { ...columns, added: { type: 'integer', tapline_type: 'int32' } } } };
    const schema = JSON.stringify({ type: 'TAPLINE', tapline: { type: 'SCHEMA', schema_version: 2, stream: configured('a', { stream }) } });
    await run([record('a', 1), schema, '{"type":"RECORD","record":{"stream":"a","namespace":"public","emitted_at":1,"data":{"id":2,"added":7}}}', state('a', 1)]);
    const rows = await readAll(sink.committed());
    expect(rows.map((row) => row['added'])).toEqual([undefined, 7]);
  });
});

describe('a schema that changes in mid-stream', () => {
  const typed = (types: Record<string, string>): object => Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { tapline_type: type }]));
  const schema = (name: string, types: Record<string, string>, more: Partial<ConfiguredStream> = {}): string =>
    JSON.stringify({ type: 'TAPLINE', tapline: { type: 'SCHEMA', schema_version: 2, stream: configured(name, { stream: { name, namespace: 'public', json_schema: { properties: typed(types) } }, ...more }) } });
  const row = (data: string): string => `{"type":"RECORD","record":{"stream":"a","namespace":"public","emitted_at":1,"data":${data}}}`;
  const base = { id: 'int64', note: 'text' };
  const own = (rows: readonly Record<string, unknown>[], ...names: string[]): unknown[] => rows.map((read) => names.map((name) => read[name]));

  it('may change many times within one commit: each record is read by the columns that were declared when it came', async () => {
    const lines = range(1, 60).flatMap((n) => [
      schema('a', { ...base, ...Object.fromEntries(range(1, n).map((c) => [`c${c}`, c % 2 === 0 ? 'int32' : 'text'])) }),
      row(`{"id":${n},"note":"x","c${n}":${n % 2 === 0 ? n : `"${n}"`}}`),
    ]);
    await run([...lines, globalState]);
    expect(sink.commits).toHaveLength(1);
    const rows = await readAll(sink.committed('a'));
    expect(rows.map((read, i) => [Number(read['id']), String(read[`c${i + 1}`]), read[`c${i + 2}`]])).toEqual(range(1, 60).map((n) => [n, String(n), undefined]));
    expect(logged).toEqual([]);
  });

  it('and declares what it declared before makes no new file', async () => {
    await run([row('{"id":1}'), schema('a', base), row('{"id":2}'), schema('a', base), row('{"id":3}'), globalState]);
    expect(sink.commits[0]!.staged.map((file) => file.rows)).toEqual([3]);
  });

  it('leaves the records in their order, however soon the file behind it is full', async () => {
    await run([row('{"id":1}'), schema('a', { ...base, added: 'text' }), ...range(2, 40).map((id) => row(`{"id":${id},"note":"some text"}`)), globalState], { options: { chunkBytes: 500 } });
    const rows = await readAll(sink.committed('a'));
    expect(rows.toSorted((a, b) => (String(a['_tapline_order']) < String(b['_tapline_order']) ? -1 : 1)).map((read) => Number(read['id']))).toEqual(range(1, 40));
  });

  it('may widen a column within a commit: either type is held exactly', async () => {
    await run([
      schema('a', { id: 'int32', amount: 'decimal(6,2)' }), row('{"id":1,"amount":"1.50"}'),
      schema('a', { id: 'int64', amount: 'text' }), row('{"id":9007199254740993,"amount":"NaN"}'), globalState,
    ]);
    expect(own(await readAll(sink.committed('a')), 'id', 'amount')).toEqual([[1, 1.5], [9007199254740993n, 'NaN']]);
  });

  it('and leaves a column out keeps it, null; a name spelled otherwise takes its place', async () => {
    await run([row('{"id":1,"note":"x"}'), schema('a', { id: 'int64', added: 'text' }), row('{"id":2,"added":"y"}'), schema('a', { id: 'int64', NOTE: 'text' }), row('{"id":3,"NOTE":"z"}'), globalState]);
    expect(own(await readAll(sink.committed('a')), 'id', 'note', 'added', 'NOTE')).toEqual([[1n, 'x', undefined, undefined], [2n, null, 'y', undefined], [3n, undefined, null, 'z']]);
    expect(logged).toEqual([]);
  });

  it('may bring a stream that was not configured, with a generation of its own', async () => {
    await run([
      schema('late', base, { generation_id: 1, minimum_generation_id: 0 }), generation('late', 1, 1), record('late', 1), record('a', 2), globalState,
      generation('late', 1, 1, 'complete'), record('late', 3), globalState,
    ]);
    expect(await ids('late')).toEqual([1, 3]);
    expect(sink.commits[0]).toMatchObject({ begun: [{ stream: { name: 'late' }, generation: 1 }], completed: [{ name: 'late', generation: 1 }] });
  });
});

describe('what a sink is told of a stream', () => {
  const key = (field: string): Partial<ConfiguredStream> => ({ primary_key: [[field]] });
  const schema = (properties: object, more: Partial<ConfiguredStream> = {}): string =>
    JSON.stringify({ type: 'TAPLINE', tapline: { type: 'SCHEMA', schema_version: 2, stream: configured('a', { stream: { name: 'a', namespace: 'public', json_schema: { properties } }, ...more }) } });
  const names = (plan: { readonly columns: readonly { readonly name: string }[] }): string[] => plan.columns.map(({ name }) => name);

  it('comes after open and ahead of all its files: each stream of the catalog, then each new schema', async () => {
    const told: string[] = [];
    sink.configure = ({ configured: { stream }, plan }) => void told.push(`${sink.calls.join()} ${stream.name}: ${names(plan).join()}`);
    await run([record('a', 1), schema({ id: columns.id, added: columns.note }, key('id')), record('a', 2), state('a', 1)]);
    expect(told).toEqual(['open a: id,note', 'open b: id,note', 'open a: id,note,added']);
  });

  it('comes with each file as it was when its records came', async () => {
    await run([record('a', 1), schema({ id: columns.id, added: columns.note }, key('id')), record('a', 2), state('a', 1)], { streams: [configured('a', key('note'))] });
    const forms = sink.commits[0]!.staged.map(({ schema: { configured: declared, plan }, unchanged }) => [declared.primary_key, Object.keys(declared.stream.json_schema['properties'] as object), names(plan), unchanged]);
    expect(forms).toEqual([[[['note']], ['id', 'note'], ['id', 'note'], false], [[['id']], ['id', 'added'], ['id', 'note', 'added'], false]]);
  });

  it('says of each file whether it holds fields that nobody declared', async () => {
    const plain = configured('b', { stream: { name: 'b', namespace: 'public', json_schema: { properties: { id: { type: 'integer' } } } } });
    // The engine reads no half of a pair; what does reads all there is.
    const odd = record('a', 2).replace('"note":""', String.raw`"note":"\ud800","other":1`);
    await run([record('a', 1), state('a', 1), odd, state('a', 2), record('b', 3), state('b', 3)], { streams: [configured('a'), plain], options: { flush: { rows: 1 } } });
    expect(sink.commits.flatMap(({ staged }) => staged).map(({ stream, extra }) => [stream.name, extra])).toEqual([['a', false], ['a', true], ['b', true]]);
  });

  it('of another key or cursor begins a new file, though the columns are the same', async () => {
    await run([record('a', 1), schema(columns, key('id')), record('a', 2), schema(columns, key('id')), record('a', 3), schema(columns, { ...key('id'), cursor_field: ['id'] }), record('a', 4), state('a', 1)]);
    expect(sink.commits[0]!.staged.map(({ rows, schema: { configured: { primary_key, cursor_field } } }) => [rows, primary_key, cursor_field])).toEqual([[1, undefined, undefined], [2, [['id']], undefined], [1, [['id']], ['id']]]);
  });

  it('is refused by what the sink throws: the run ends before anything is committed', async () => {
    sink.configure = () => {
      throw configError('stream public.a: the primary key names a column that is not there', { code: 'no_key' });
    };
    await expect(run([record('a', 1), state('a', 1)])).rejects.toMatchObject({ kind: 'config_error', code: 'no_key' });
    expect(sink.calls).toEqual(['open']);
  });
});

describe('values that the sink nulled', () => {
  const stats = (lines: readonly Record<string, unknown>[]): unknown[] => lines.filter(({ type }) => type === 'STATE').map((line) => (line['state'] as { destinationStats: unknown }).destinationStats);

  it('are told with the newest state of their commit', async () => {
    sink.reports.set(1, { nulledValues: 5 });
    const { lines } = await run([record('a', 1), state('a', 1), record('b', 2), state('b', 2)]);
    expect(stats(lines())).toEqual([{ recordCount: 1 }, { recordCount: 1, nulledValues: 5 }]);
    expect(logged).toEqual([]);
  });

  it('are told commit by commit', async () => {
    sink.reports.set(1, { nulledValues: 5 }).set(2, { nulledValues: 2 });
    const destination = start({ options: { flush: { rows: 1 } } });
    destination.send(record('a', 1), state('a', 1), record('a', 2), state('a', 2), record('a', 3), state('a', 3));
    await destination.end();
    await vi.waitFor(() => expect(stats(destination.lines())).toEqual([{ recordCount: 1, nulledValues: 5 }, { recordCount: 1, nulledValues: 2 }, { recordCount: 1 }]));
  });

  it('are told by a warning where no state is left to tell', async () => {
    sink.reports.set(2, { nulledValues: 2 });
    const { lines } = await run([record('a', 1), state('a', 1), record('a', 2), complete('a')], { options: { flush: { rows: 1 } } });
    expect(stats(lines())).toEqual([{ recordCount: 1 }]);
    expect(logged).toEqual([expect.stringContaining('2 values became null')]);
  });
});

describe('rows of change data capture', () => {
  const types = {
    id: 'int64', name: 'text', amount: 'decimal(12,2)', created: 'timestamptz', _ab_cdc_lsn: 'int64', _ab_cdc_updated_at: 'timestamptz', _ab_cdc_deleted_at: 'timestamptz', _tapline_order: 'text',
  };
  const stream = configured('a', { stream: { name: 'a', namespace: 'public', json_schema: { required: ['id', 'name', 'amount', 'created'], properties: Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { tapline_type: type }])) } } });
  const order = (lsn: number, sequence: number): string => lsn.toString(16).padStart(16, '0') + sequence.toString(16).padStart(16, '0');
  const line = (data: string, meta = ''): string => `{"type":"RECORD","record":{"stream":"a","namespace":"public","emitted_at":1700000000000,"data":${data}${meta}}}`;

  it('keep the order that the source gave them, and their positions and times in types of their own', async () => {
    const upsert = `{"id":1,"name":"x","amount":"1.50","created":"2026-01-02T03:04:05.123456+00:00","_ab_cdc_lsn":9007199254740993,"_ab_cdc_updated_at":"2026-01-02T03:04:06.000001+00:00","_ab_cdc_deleted_at":null,"_tapline_order":"${order(16, 1)}"}`;
    const deleted = `{"id":1,"_ab_cdc_lsn":"9223372036854775807","_ab_cdc_updated_at":"2026-01-02T03:04:07+00:00","_ab_cdc_deleted_at":"2026-01-02T03:04:07+00:00","_tapline_order":"${order(17, 2)}"}`;
    await run([line(upsert), line(deleted), globalState], { streams: [stream] });
    const [first, second] = await readAll(sink.committed('a'));
    const file = sink.committed('a')[0]!;
    expect(await parquetColumns(file)).toMatchObject({ _ab_cdc_lsn: 'INT64 INT_64', _ab_cdc_updated_at: 'INT64 TIMESTAMP_MICROS', _ab_cdc_deleted_at: 'INT64 TIMESTAMP_MICROS' });
    expect(first).toMatchObject({ id: 1n, name: 'x', amount: 1.5, _ab_cdc_lsn: 9007199254740993n, _ab_cdc_deleted_at: null, _tapline_order: order(16, 1) });
    expect(String(first!['_airbyte_raw_id'])).toMatch(new RegExp(`^[0-9a-f]{8}-0001-${order(16, 1)}$`));
    expect(second).toMatchObject({ _ab_cdc_lsn: 9223372036854775807n, _tapline_order: order(17, 2), _ab_cdc_deleted_at: new Date('2026-01-02T03:04:07Z') });
    // What a delete does not carry is null, NOT NULL at the source or not, and no loss.
    expect(second).toMatchObject({ id: 1n, name: null, amount: null, created: null });
    expect([first, second].map((read) => read!['_airbyte_meta'])).toEqual(['{"changes":[]}', '{"changes":[]}']);
  });

  it('carry what the source says it changed, before what the destination could not hold', async () => {
    const meta = ',"meta":{"changes":[{"field":"name","change":"NULLED","reason":"SOURCE_RETRIEVAL_ERROR"}]}';
    await run([line('{"id":1,"name":null,"amount":"12345678901234"}', meta), line('{"id":2,"name":null}', meta), line('{"id":3,"amount":"x"}'), line('{"id":4}', ',"meta":{"changes":[]}'), globalState], { streams: [stream] });
    const own = { field: 'name', change: 'NULLED', reason: 'SOURCE_RETRIEVAL_ERROR' };
    const ours = { field: 'amount', change: 'NULLED', reason: 'DESTINATION_TYPECAST_ERROR' };
    expect((await readAll(sink.committed('a'))).map((read) => JSON.parse(String(read['_airbyte_meta'])) as unknown)).toEqual([{ changes: [own, ours] }, { changes: [own] }, { changes: [ours] }, { changes: [] }]);
    expect(logged).toEqual([]);
  });
});

describe('values that did not change, into a sink that keeps its own', () => {
  const partly = (stream: string, id: number): string => record(stream, id).replace(/\}\}$/, ',"meta":{"unchanged":["note"]}}}').replace(',"note":""', '');
  const marks = async (): Promise<unknown[]> => await Promise.all(sink.commits.flatMap(({ staged }) => staged).map(async ({ name, unchanged, stream }) => {
    const rows = await readAll([sink.files.get(name)!]);
    return [stream.name, unchanged, rows.map((row) => row['_tapline_unchanged'])];
  }));

  it('are named in the files of those records, and no other file says anything', async () => {
    await run([record('a', 1), partly('a', 2), record('b', 3), globalState], { options: { partial: true } });
    expect(await marks()).toEqual([['a', true, [null, '["note"]']], ['b', false, [undefined]]]);
  });

  it('are named on either side of a state that divides them', async () => {
    const destination = start({ options: { partial: true, flush: { ms: 50 } } });
    destination.send(partly('a', 1), state('a', 1), partly('a', 2), record('a', 3), complete('a'));
    await vi.waitFor(() => expect(sink.calls).toContain('echo 1'));
    await destination.end();
    expect(await marks()).toEqual([['a', true, ['["note"]']], ['a', true, ['["note"]', null]]]);
  });

  it('are null for any other sink', async () => {
    await run([partly('a', 1), globalState]);
    expect(await marks()).toEqual([['a', false, [undefined]]]);
  });
});

describe('failures', () => {
  it('of a commit end the run: no echo, no further commit', async () => {
    sink.hook = (call) => {
      if (call === 'commit 1') throw transientError('a newer writer took over', { code: 'fenced' });
    };
    const destination = start({ options: { flush: { rows: 1 } } });
    destination.send(record('a', 1), state('a', 1));
    await expect(destination.done).rejects.toMatchObject({ code: 'fenced' });
    expect(sink.calls).toEqual(['open', 'stage a 1', 'commit 1']);
  });

  it('of the staging directory are told as the user can act on them', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    await expect(run([record('a', 1)], { options: { stagingDirectory: file } })).rejects.toMatchObject({ kind: 'config_error', message: expect.stringContaining(file) as unknown });
  });

  it('of the disk at the sink are not told as of the staging directory', async () => {
    sink.hook = (call) => {
      if (call.startsWith('stage')) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    };
    await expect(run([record('a', 1), state('a', 1)])).rejects.toMatchObject({ kind: 'system_error' });
  });

  it('and successes leave nothing in the staging directory', async () => {
    await run([record('a', 1), state('a', 1), record('a', 2)]);
    expect(await readdir(join(directory, 'staging'))).toEqual([]);
    await run([record('nobody', 1)]).catch(() => undefined);
    expect(await readdir(join(directory, 'staging'))).toEqual([]);
  });
});
