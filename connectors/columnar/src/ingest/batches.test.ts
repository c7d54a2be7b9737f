import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { LineWriter, type ConfiguredStream, type Session } from '@tapline/protocol';
import { Output } from '@tapline/sdk';
import { BatchFiles, parquetFile } from '@tapline/sdk/batch';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { integers, texts } from '../batch-files.test.support.js';
import { FakeSink } from '../fake-sink.test.support.js';
import { readAll } from '../read-parquet.test.support.js';
import type { Staged, StagedBatches } from '../sink.js';
import type { ColumnarOptions } from './options.js';
import { writeColumnar } from './write-columnar.js';

let directory: string;
let folder: string;
let sink: FakeSink;
const logged: string[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tapline-batches-'));
  folder = join(directory, 'batches');
  await mkdir(folder);
  sink = new FakeSink(directory);
  logged.length = 0;
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const properties = { id: { type: 'integer', tapline_type: 'int64' }, note: { type: 'string', tapline_type: 'text' } };
/** Rows of a stream that is called `ordered` carry their order. */
const configured = (name: string): ConfiguredStream => ({
  stream: { name, json_schema: { properties: name === 'ordered' ? { ...properties, _tapline_order: { type: 'string', tapline_type: 'text' } } : properties } }, sync_mode: 'incremental', destination_sync_mode: 'append',
});

/** A destination that runs, and the folder as a source sees it, with its credit. */
function start({ streams = ['a', 'b'], maxBytes = 1 << 20, options = {} }: { readonly streams?: readonly string[]; readonly maxBytes?: number; readonly options?: Partial<ColumnarOptions> } = {}) {
  const session: Session = { version: 1, run_id: 'r', sync: 's', source: '', extensions: ['batch'], continuous: false, batch: { dir: folder, format: 'parquet', max_bytes: maxBytes } };
  const input = new PassThrough();
  const files = new BatchFiles(session.batch!, AbortSignal.timeout(15_000));
  const done = writeColumnar({
    input, sink, output: new Output(new LineWriter(new PassThrough().resume())), catalog: { streams: streams.map(configured) }, session,
    options: { stagingDirectory: join(directory, 'staging'), sync: 's', ...options }, log: (_level, message) => void logged.push(message),
  });
  done.catch(() => undefined);
  const send = (...lines: string[]): void => void input.write(lines.map((line) => `${line}\n`).join(''));
  return {
    done, send,
    /** Waits for credit, as a source does. */
    async batch(stream: string, ids: readonly number[], note = 'x', order?: (id: number) => string): Promise<void> {
      const parts = parquetFile([integers(ids), texts(ids.map(() => note)), ...(order ? [texts(ids.map(order))] : [])], ids.length);
      send(line(stream, { ...(await files.write(parts)), rows: ids.length, ...(order && { columns: ['id', 'note', '_tapline_order'] }) }));
    },
    end: () => {
      input.end();
      return done;
    },
  };
}

const line = (stream: string, more: object): string => JSON.stringify({
  type: 'TAPLINE', tapline: { type: 'BATCH', stream_descriptor: { name: stream }, format: 'parquet', columns: ['id', 'note'], emitted_at: 1700000000000, ...more },
});
const record = (stream: string, id: number): string => `{"type":"RECORD","record":{"stream":"${stream}","emitted_at":1700000000000,"data":{"id":${id},"note":"line"}}}`;
const state = (stream: string, n: number): string => `{"type":"STATE","state":{"id":${n},"type":"STREAM","stream":{"stream_descriptor":{"name":"${stream}"},"stream_state":{"n":${n}}}}}`;
const complete = (stream: string): string => `{"type":"TRACE","trace":{"type":"STREAM_STATUS","emitted_at":1,"stream_status":{"stream_descriptor":{"name":"${stream}"},"status":"COMPLETE"}}}`;
const ids = async (stream?: string): Promise<number[]> => (await readAll(sink.committed(stream))).map((row) => Number(row['id']));

describe('batches', () => {
  it('keep their place among the lines, and are gone once they are written', async () => {
    const destination = start();
    destination.send(record('a', 1));
    await destination.batch('a', [2, 3]);
    await destination.batch('a', [4]);
    destination.send(record('a', 5), state('a', 1));
    await destination.batch('a', [6]);
    await destination.end();
    const rows = await readAll(sink.committed('a'));
    expect(rows.map((row) => [Number(row['id']), Number(`0x${String(row['_tapline_order']).slice(16)}`)])).toEqual([1, 2, 3, 4, 5].map((id) => [id, id]));
    expect(sink.calls.filter((call) => call.startsWith('stage')).sort()).toEqual(['stage a 1', 'stage a 1', 'stage a 3']);
    expect(logged.join()).toMatch(/a: 1 records/);
    expect(await readdir(folder)).toHaveLength(1);
  });

  it('that come by turns with lines gather in one file of each kind where rows carry their order, up to each state', async () => {
    const destination = start({ streams: ['ordered'] });
    const order = (id: number): string => String(id).padStart(16, '0');
    const turn = async (id: number): Promise<void> => {
      destination.send(record('ordered', id).replace('"note"', `"_tapline_order":"${order(id)}","note"`));
      await destination.batch('ordered', [id + 1, id + 2], 'x', order);
    };
    for (const id of [1, 4, 7]) await turn(id);
    destination.send(state('ordered', 1));
    await turn(10);
    destination.send(state('ordered', 2));
    await turn(13);
    await destination.end();
    const rows = await readAll(sink.committed('ordered'));
    expect(rows.map((row) => Number(row['id'])).sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, n) => n + 1));
    for (const row of rows) expect([row['_tapline_order'], String(row['_airbyte_raw_id']).endsWith(String(row['_tapline_order']))]).toEqual([order(Number(row['id'])), true]);
    expect(sink.calls.filter((call) => call.startsWith('stage')).sort()).toEqual(['stage ordered 4', 'stage ordered 8']);
  });

  it('of a table without any state are converted as they come, and committed when it is complete', async () => {
    const destination = start({ options: { chunkBytes: 40_000 } });
    for (let n = 0; n < 20; n++) await destination.batch('a', [n], 'x'.repeat(4000));
    await vi.waitFor(() => expect(sink.calls.filter((call) => call.startsWith('stage')).length).toBeGreaterThan(3));
    expect(sink.commits).toHaveLength(0);
    destination.send(complete('a'));
    await destination.end();
    expect(await ids()).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(await readdir(folder)).toEqual([]);
  });

  it('of a state divide at it, by file', async () => {
    const destination = start();
    await destination.batch('a', [1]);
    destination.send(state('a', 1));
    await destination.batch('a', [2]);
    await destination.batch('a', [3]);
    destination.send(state('b', 2));
    await destination.end();
    expect(await ids()).toEqual([1]);
  });

  it.each([['fits', 5000], ['is larger than all that may lie there', 60_000]])('of streams that wait for their states do not wait for each other: a file that %s', async (_, size) => {
    const streams = Array.from({ length: 20 }, (__, n) => `s${n}`);
    const destination = start({ streams, maxBytes: 40_000 });
    for (let round = 0; round < 3; round++) for (const [n, stream] of streams.entries()) await destination.batch(stream, [100 * round + n], 'x'.repeat(size));
    destination.send(...streams.map((stream, n) => state(stream, n + 1)));
    await destination.end();
    for (const [n, stream] of streams.entries()) expect(await ids(stream)).toEqual([n, 100 + n, 200 + n]);
    expect(sink.calls.filter((call) => call.startsWith('stage'))).toHaveLength(20);
  });

  it('of 1,000 streams without a state all find room', async () => {
    const streams = Array.from({ length: 1000 }, (_, n) => `s${n}`);
    const destination = start({ streams, maxBytes: 30_000 });
    for (let round = 0; round < 2; round++) for (const stream of streams) await destination.batch(stream, [round]);
    await destination.end();
    expect(logged.filter((message) => message.includes(': 2 records'))).toHaveLength(1000);
  });

  it('of a generation that another replaced before any state are deleted', async () => {
    const begin = (generation: number): string => `{"type":"TAPLINE","tapline":{"type":"GENERATION","stream_descriptor":{"name":"a"},"generation_id":${generation},"minimum_generation_id":${generation},"phase":"begin"}}`;
    const destination = start();
    destination.send(begin(2));
    await destination.batch('a', [1]);
    destination.send(begin(3));
    await destination.batch('a', [2]);
    destination.send(state('a', 1));
    await destination.end();
    expect(await ids()).toEqual([2]);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('batches that the sink takes as they are', () => {
  class TakingSink extends FakeSink {
    readonly taken: { readonly rows: number; readonly waits: boolean; readonly isThere: boolean }[] = [];

    async stageBatches({ paths, waits, ...file }: StagedBatches): Promise<Staged> {
      this.taken.push({ rows: file.rows, waits, isThere: paths.every((path) => existsSync(path)) });
      await Promise.all(paths.map((path) => rm(path)));
      return { ...file, name: String(this.taken.length) };
    }
  }

  it('wait where no STATE is in sight, and do not where their commit is next', async () => {
    const taking = new TakingSink(directory);
    sink = taking;
    const destination = start({ maxBytes: 1 << 28 });
    // As much as is not kept for later.
    await destination.batch('a', Array.from({ length: 70 }, (_, n) => n), 'x'.repeat(1_000_000));
    await destination.batch('b', [1, 2]);
    destination.send(state('b', 1));
    await destination.end();
    expect(taking.taken).toEqual([{ rows: 70, waits: true, isThere: true }, { rows: 2, waits: false, isThere: true }]);
  });

  it('are committed as soon as 16 MB of them are before a STATE and nothing is being committed; while something is, more are gathered', async () => {
    const taking = new TakingSink(directory);
    sink = taking;
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    taking.hook = (call) => (call === 'commit 1' ? held : undefined);
    const destination = start({ maxBytes: 1 << 28 });
    const send = async (n: number): Promise<void> => {
      await destination.batch('a', [n], 'x'.repeat(17 << 20));
      destination.send(state('a', n));
    };
    await send(1);
    await vi.waitFor(() => expect(taking.calls).toContain('commit 1'));
    await send(2);
    await destination.batch('b', [1]);
    expect(taking.commits).toHaveLength(0);
    release();
    await send(3);
    await destination.end();
    expect(taking.commits.map(({ staged }) => staged.reduce((sum, { rows }) => sum + rows, 0))).toEqual([1, 2]);
  });
});

describe('a batch that is not as it was announced', () => {
  const whole = async (name: string): Promise<number> => {
    const bytes = Buffer.concat(parquetFile([integers([1]), texts(['x'])], 1));
    await writeFile(join(folder, name), bytes);
    return bytes.length;
  };

  it.each<[string, () => Promise<string>, RegExp]>([
    ['is not there', async () => line('a', { path: 'gone.parquet', rows: 1, bytes: 100 }), /stream a: the batch file gone\.parquet is not there/],
    ['is cut off', async () => {
      const bytes = await whole('cut.parquet');
      await truncate(join(folder, 'cut.parquet'), bytes - 10);
      return line('a', { path: 'cut.parquet', rows: 1, bytes });
    }, /stream a: the batch file cut\.parquet has \d+ bytes, but \d+ were announced/],
    ['has other rows', async () => line('a', { path: 'rows.parquet', rows: 2, bytes: await whole('rows.parquet') }), /stream a: the batch file rows\.parquet has 1 rows, but 2/],
    ['is no Parquet', async () => {
      await writeFile(join(folder, 'text.parquet'), 'x'.repeat(500));
      return line('a', { path: 'text.parquet', rows: 1, bytes: 500 });
    }, /stream a: the batch file text\.parquet is no Parquet file/],
    ['lies elsewhere', async () => line('a', { path: '../batches/x.parquet', rows: 1, bytes: 1 }), /BATCH/],
    ['is of a stream that nobody asked for', async () => line('other', { path: 'o.parquet', rows: 1, bytes: await whole('o.parquet') }), /other/],
  ])('is a broken protocol: it %s', async (_, make, message) => {
    const destination = start();
    destination.send(record('b', 1), state('b', 1), await make(), state('a', 2));
    const failed = destination.end();
    await expect(failed).rejects.toMatchObject({ code: 'protocol' });
    await expect(failed).rejects.toThrow(message);
  });
});
