/** Random histories of streams into a model of a sink that follows its contract to the letter: what it shows is what the states tell. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { LineWriter, transientError, type ConfiguredStream, type Session } from '@tapline/protocol';
import { Engine } from '../convert/engine.js';
import { Output } from '@tapline/sdk';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ModelSink } from '../model-sink.test.support.js';
import { batchedLines } from './random-batches.test.support.js';
import { propertiesOf, randomHistory, versionAt, visibleAt, type Step } from './random-history.test.support.js';
import { writeColumnar } from './write-columnar.js';

let directory: string;
let engine: Engine;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tapline-histories-'));
  engine = new Engine({ directory: join(directory, 'engine') });
});
afterEach(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const session = (dir: string): Session => ({
  version: 1, run_id: 'r', sync: 's', source: '', extensions: ['batch'], continuous: false, batch: { dir, format: 'parquet', max_bytes: 8000 },
});
let runs = 0;
const configured = (name: string, version: number): ConfiguredStream => ({
  stream: { name, json_schema: { properties: propertiesOf(version) } }, sync_mode: 'incremental', destination_sync_mode: 'append_dedup',
});

/** One run over the steps, in blocks of any length, which ends without a COMPLETE. Resolves with what the states that came back say was nulled. */
async function run(sink: ModelSink, streams: ConfiguredStream[], steps: readonly Step[], pick: (below: number) => number): Promise<number> {
  const input = new PassThrough();
  const stdout = new PassThrough();
  let out = '';
  stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  const folder = join(directory, `batches${++runs}`);
  await mkdir(folder);
  const done = writeColumnar({
    input, sink, output: new Output(new LineWriter(stdout)), catalog: { streams }, session: session(folder), log: () => undefined,
    options: { stagingDirectory: join(directory, 'staging'), sync: 's', partial: true, readOnce: true, flush: { rows: [1, 20, 1000][pick(3)]! }, ...(pick(2) === 0 && { chunkBytes: 300 }) },
  });
  done.catch(() => undefined);
  const bytes = Buffer.from(await batchedLines(steps, { folder, pick }));
  for (let at = 0; at < bytes.length && !input.destroyed; ) {
    const end = Math.min(at + 1 + pick(4000), bytes.length);
    if (!input.write(bytes.subarray(at, end))) await new Promise((resolve) => input.once('drain', resolve).once('close', resolve));
    at = end;
  }
  input.end();
  await done;
  await new Promise((resolve) => setImmediate(resolve));
  return [...out.matchAll(/"nulledValues":(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
}

test.each([1, 2, 5])('history %i of copies, TRUNCATEs, new columns and values left out, in lines and batches, shows at each end what the last states tell', async (seed) => {
  const { steps, pick } = randomHistory({ seed, length: 300, kind: seed % 2 === 0 ? 'GLOBAL' : 'STREAM' });
  const sink = new ModelSink(seed === 1 ? undefined : { engine, folder: directory });
  for (let turn = 0; turn < 40; turn++) {
    const rest = steps.filter((step, at) => (step.kind === 'state' && step.stream === undefined ? at > Math.min(sink.positionOf('a'), sink.positionOf('b')) : at > sink.positionOf(step.stream!)));
    if (rest.length === 0) break;
    // The last turns get through, so that there is an end.
    const end = turn < 12 ? 1 + pick(rest.length) : rest.length;
    const failing = turn < 12 && pick(3) === 0 ? 1 + pick(4) : undefined;
    // A commit that fails has happened, or has not.
    sink.onCommit = (nth, when) => {
      if (failing === nth && when === (turn % 2 === 0 ? 'before' : 'after')) throw transientError('lost', { code: 'lost' });
    };
    const streams = ['a', 'b'].map((name) => configured(name, versionAt(steps, sink.positionOf(name), name)));
    const before = sink.nulledValues;
    const told = await run(sink, streams, rest.slice(0, end), pick).catch((error: unknown) => {
      if (failing === undefined) throw error;
    });
    if (told !== undefined) expect(told).toBe(sink.nulledValues - before);
    for (const stream of ['a', 'b']) expect(sink.visible(stream), `${stream} after turn ${turn}`).toEqual(visibleAt(steps, sink.positionOf(stream), stream));
  }
  expect(['a', 'b'].map((stream) => sink.positionOf(stream))).toEqual(['a', 'b'].map((stream) => steps.findLastIndex((step) => step.kind === 'state' && (step.stream ?? stream) === stream)));
  expect(sink.rowIds()).toEqual([...new Set(sink.rowIds())]);
});
