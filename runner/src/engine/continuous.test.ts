/** Sources that follow a log: they change while they run, keep one state for all streams, and end only when they are stopped. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  folder, generation, globalState, linesOf, record, state, status, sync, tapline, traceError, upTo, visible, type Given, type Ran,
} from './fixtures/syncs.js';
import type { StopSignals } from './stop-signals.js';

const end = (stopped: boolean): string => tapline({ type: 'END', ...(stopped && { stopped }) });
const extensions = { source: ['schema', 'generation', 'lag'], destination: ['schema'] };
const properties = (...names: string[]) => Object.fromEntries(names.map((name) => [name, { type: 'integer' }]));
const schema = (name: string, ...columns: string[]): string =>
  tapline({ type: 'SCHEMA', schema_version: 1, stream: { name, json_schema: { type: 'object', properties: properties(...columns) }, supported_sync_modes: ['incremental'] } });
const whole = [status('a', 'COMPLETE'), end(false)];

interface Running {
  readonly ran: Promise<Ran>;
  readonly path: string;
  /** As a signal to the runner. */
  stop(signal: 'SIGTERM' | 'SIGINT'): void;
  until(what: () => boolean): Promise<void>;
}

function follow(given: Given & { readonly path: string }): Running {
  const { path } = given;
  const first = new AbortController();
  const signals: StopSignals = { first: first.signal, second: new AbortController().signal };
  const ran = sync({
    session: true, extensions, signals, ...given,
    source: { ready: join(path, 'ready'), acks: join(path, 'acks'), onStop: [end(true)], ...given.source },
    destination: { log: join(path, 'log'), ...given.destination },
    plan: { continuous: true, ...given.plan },
  });
  return {
    ran, path,
    stop: (signal) => first.abort(signal),
    until: async (what) => {
      for (let waited = 0; !what(); waited += 10) {
        if (waited > 10_000) throw new Error('waited in vain');
        await sleep(10);
      }
    },
  };
}

const log = (path: string) => linesOf(join(path, 'log')).map((line) => JSON.parse(line) as Record<string, { [member: string]: unknown }>);
const store = (path: string) => JSON.parse(readFileSync(join(path, 'rows'), 'utf8')) as { schemas?: Record<string, string[]>; generations: Record<string, number> };
const seen = (path: string) =>
  linesOf(join(path, 'seen')).map((line) => JSON.parse(line) as { state: string | null; session: { extensions: string[]; selection: string[] }; catalog: { streams: { generation_id: number }[] } });

describe('a run without an end', () => {
  test('a clean stop: the last state is saved and acknowledged before the source goes, nothing is called complete, and the run succeeds', async () => {
    const path = folder();
    const running = follow({
      path, source: { script: [record('a', 1), globalState(1, { a: 1 })], onStop: [record('a', 2), globalState(2, { a: 2 }), status('a', 'INCOMPLETE'), end(true)] },
    });
    await running.until(() => existsSync(join(path, 'acks')));
    running.stop('SIGTERM');
    const ran = await running.ran;
    expect([ran.exitCode, ran.summary.status, ran.summary.streams[0]?.status]).toEqual([0, 'succeeded', 'succeeded']);
    expect(linesOf(join(path, 'acks')).map((line) => (line === 'gone' ? line : (JSON.parse(line) as { state: { id: number } }).state.id))).toEqual([1, 2, 'gone']);
    expect([visible(path), await ran.states()]).toMatchObject([{ a: [1, 2] }, [{ global: { shared_state: { lsn: 2 } } }]]);
    expect(log(path).some(({ trace }) => trace)).toBe(false);
  });

  test('SIGINT stops it as cleanly, and its exit is 130', async () => {
    const path = folder();
    const running = follow({ path, source: { script: [record('a', 1), globalState(1, { a: 1 })] } });
    await running.until(() => existsSync(join(path, 'acks')));
    running.stop('SIGINT');
    const ran = await running.ran;
    expect([ran.exitCode, ran.summary.status, visible(path)]).toEqual([130, 'interrupted', { a: [1] }]);
  });

  test('a stop in the middle of a copy: the stream is not called a success', async () => {
    const path = folder();
    const running = follow({ path, source: { script: [generation('a', 2, 'begin'), record('a', 1), globalState(1, { a: 'copying' })] } });
    await running.until(() => existsSync(join(path, 'acks')));
    running.stop('SIGTERM');
    const ran = await running.ran;
    expect([ran.exitCode, ran.summary.streams[0]?.status, visible(path)]).toEqual([0, 'incomplete', {}]);
  });

  test('a source that was stopped by somebody else has not ended: it is started once more', async () => {
    const path = folder();
    const scripts = [[record('a', 1), globalState(1, { a: 1 }), status('a', 'COMPLETE'), end(true), { exit: 143 }], [record('a', 2), globalState(2, { a: 2 }), ...whole]];
    const ran = await sync({ path, session: true, source: { script: [], scripts, attempts: join(path, 'n'), onStop: [] } });
    expect([ran.exitCode, linesOf(join(path, 'n'))]).toEqual([0, ['2']]);
  });

  test('a source whose destination has died is told that no ack will come, and goes', async () => {
    const path = folder();
    const source = { script: [{ records: 20_000 }], onStop: [end(true)], acks: join(path, 'acks') };
    const ran = await sync({ path, session: true, source, destination: { dieAfter: 5 }, timing: { graceMs: 8000 } });
    expect([ran.exitCode, linesOf(join(path, 'acks'))]).toEqual([1, ['gone', 'gone']]);
  });

  test('what may pass is tried again without end once a state was saved; before that as often as any run tries', async () => {
    const down = [traceError('transient_error', 'the server is restarting'), { exit: 1 }];
    const path = folder();
    const scripts = [[record('a', 1), globalState(1, { a: 1 }), { sleep: 200 }, ...down], ...upTo(8).map(() => down), [record('a', 2), globalState(2, { a: 2 })]];
    const running = follow({ path, source: { script: [], scripts, attempts: join(path, 'n') }, plan: { continuous: true, patient: true, retries: 2 } });
    await running.until(() => existsSync(join(path, 'ready')));
    await running.until(() => linesOf(join(path, 'acks')).length > 1);
    running.stop('SIGTERM');
    const ran = await running.ran;
    expect([ran.exitCode, ran.summary.records, visible(path)]).toEqual([0, 2, { a: [1, 2] }]);

    const never = folder();
    const given = { path: never, source: { script: down, attempts: join(never, 'n') }, plan: { continuous: true, patient: true, retries: 2 } };
    expect([(await follow(given).ran).exitCode, readFileSync(join(never, 'n'), 'utf8')]).toEqual([75, '3']);
  });

  test('a stream that is complete is seen, though the others go on', async () => {
    const path = folder();
    const script = [record('a', 1), globalState(1, { a: 1 }), status('a', 'COMPLETE'), globalState(2, { a: 2 })];
    const running = follow({ path, mode: 'full_refresh', write: 'overwrite', source: { streams: ['a', 'b'], script } });
    await running.until(() => existsSync(join(path, 'rows')) && visible(path)['a'] !== undefined);
    running.stop('SIGTERM');
    const ran = await running.ran;
    expect([ran.exitCode, ran.summary.streams.map((one) => one.status), visible(path)]).toEqual([0, ['succeeded', 'skipped'], { a: [1] }]);
  });

  test('the lag is shown, and goes no further than the runner', async () => {
    const path = folder();
    const lags: unknown[] = [];
    const running = follow({ path, source: { script: [tapline({ type: 'LAG', bytes: 4096, seconds: 1.5 })] }, onProgress: ({ lag }) => void lags.push(lag) });
    await running.until(() => lags.length > 0 && lags.at(-1) !== undefined);
    running.stop('SIGTERM');
    await running.ran;
    expect([lags.at(-1), log(path)]).toMatchObject([{ bytes: 4096, seconds: 1.5 }, []]);
  });
});

describe('a stream that changes while its source runs', () => {
  const run = (path: string, script: unknown[], given: Partial<Given> = {}): Promise<Ran> =>
    sync({ path, session: true, extensions, ...given, source: { script, onStop: [], seen: join(path, 'seen'), ...given.source }, destination: { log: join(path, 'log') } });

  test('has its new schema before the first record that needs it, as the configured stream', async () => {
    const path = folder();
    const ran = await run(path, [record('a', 1), schema('a', 'id', 'note'), record('a', 2), globalState(1, { a: 1 }), ...whole]);
    expect([ran.exitCode, ran.summary.records]).toEqual([0, 2]);
    expect(log(path).slice(0, 3)).toMatchObject([
      { record: { data: { id: 1 } } },
      { tapline: { type: 'SCHEMA', schema_version: 1, stream: { stream: { name: 'a' }, sync_mode: 'incremental', destination_sync_mode: 'append', cursor_field: ['id'], generation_id: 1 } } },
      { record: { data: { id: 2 } } },
    ]);
    expect(store(path).schemas).toEqual({ a: ['id', 'note'] });
  });

  test('or that appears is configured and copied, if it is wanted', async () => {
    const path = folder();
    const script = [
      schema('new', 'id'), generation('new', 1, 'begin'), status('new', 'STARTED'), record('new', 1), generation('new', 1, 'complete'),
      schema('other', 'id'), generation('other', 1, 'begin'), record('other', 1), globalState(1, { a: 1, new: 1 }), status('new', 'COMPLETE'), ...whole,
    ];
    const appeared: NonNullable<Given['plan']>['appeared'] = (stream) =>
      stream.name === 'new' ? { stream, sync_mode: 'incremental', destination_sync_mode: 'append', cursor_field: [] } : undefined;
    const ran = await run(path, script, { plan: { appeared, selection: ['a', 'new'] } });
    expect([ran.exitCode, visible(path)]).toEqual([0, { new: [1] }]);
    expect(ran.summary.streams.map(({ name, status: value, records }) => [name, value, records])).toEqual([['a', 'succeeded', 0], ['new', 'succeeded', 1]]);
    expect(log(path).filter(({ tapline: body }) => body).map(({ tapline: body }) => body!['type'])).toEqual(['SCHEMA', 'GENERATION', 'GENERATION']);
    expect(ran.messages).toContainEqual(expect.stringContaining('records of other, which is not among the selected streams'));
    expect(seen(path)[0]!.session.selection).toEqual(['a', 'new']);
  });

  test('or that appears where an earlier stream had its name: its generations go on above the old ones', async () => {
    const path = folder();
    await run(path, [generation('b', 4, 'begin'), record('b', 1), generation('b', 4, 'complete'), globalState(1, { a: 1, b: 1 }), status('b', 'COMPLETE'), ...whole], { source: { streams: ['a', 'b'] } });
    const ran = await run(path, [schema('b', 'id'), generation('b', 1, 'begin'), record('b', 7), generation('b', 1, 'complete'), globalState(2, { a: 1, b: 2 }), status('b', 'COMPLETE'), ...whole]);
    expect([ran.exitCode, visible(path)['b'], store(path).generations['b']]).toEqual([0, [7], 5]);
    await run(path, [...whole], { source: { streams: ['a', 'b'] } });
    expect(seen(path).at(-1)!.catalog.streams.map(({ generation_id: id }) => id)).toEqual([1, 5]);
  });

  test('is not told to a source whose destination does not take it', async () => {
    const path = folder();
    await run(path, [globalState(1, { a: 1 }), ...whole], { extensions: { source: ['schema', 'generation', 'partial', 'lag'] } });
    await run(path, [...whole], { extensions: { source: ['schema', 'generation', 'partial', 'lag'], destination: ['schema', 'partial'] } });
    expect(seen(path).map(({ session }) => session.extensions)).toEqual([['ack', 'end', 'lag', 'generation'], ['ack', 'end', 'lag', 'schema', 'generation', 'partial']]);
  });

  test('begins generations of its own, which are remembered with the states behind them', async () => {
    const path = folder();
    const ran = await run(path, [
      record('a', 1), globalState(1, { a: 1 }), generation('a', 2, 'begin'), record('a', 2), globalState(2, { a: 2 }), generation('a', 2, 'complete'), record('a', 3), globalState(3, { a: 3 }), ...whole,
    ]);
    expect([ran.exitCode, visible(path)]).toEqual([0, { a: [2, 3] }]);
    expect((await ran.store.load())!.generations).toMatchObject({ a: { id: 2, minimum: 2, complete: true } });
    await run(path, [...whole]);
    expect(seen(path).at(-1)!.catalog.streams[0]!.generation_id).toBe(2);
  });

  test('and is copied anew after a crash in the middle of it: its records count once', async () => {
    const path = folder();
    const scripts = [
      [generation('a', 2, 'begin'), record('a', 1), record('a', 2), globalState(1, { a: 'copying' }), { sleep: 200 }, { exit: 3 }],
      [generation('a', 3, 'begin'), record('a', 1), record('a', 2), record('a', 3), generation('a', 3, 'complete'), globalState(2, { a: 'streaming' }), ...whole],
    ];
    const ran = await run(path, [], { source: { scripts, attempts: join(path, 'n') } });
    expect([ran.exitCode, ran.summary.records, visible(path)]).toEqual([0, 3, { a: [1, 2, 3] }]);
  });
});

describe('one state for all streams', () => {
  const both = { streams: ['a', 'b'] };
  const run = (path: string, script: unknown[], given: Partial<Given> = {}): Promise<Ran> =>
    sync({ path, session: true, extensions, ...given, source: { ...both, script, onStop: [], seen: join(path, 'seen'), ...given.source } });
  const done = [status('a', 'COMPLETE'), status('b', 'COMPLETE'), end(false)];
  const began = (path: string) => { const { state: text } = seen(path).at(-1)!; return text === null ? null : (JSON.parse(text) as object[]); };
  const first = async (): Promise<{ path: string; ran: Ran }> => {
    const path = folder();
    return { path, ran: await run(path, [record('a', 1), record('b', 1), globalState(1, { a: 1, b: 1 }), ...done]) };
  };

  test('reset of one stream takes its entry out, and leaves the position and the others', async () => {
    const { path, ran } = await first();
    await ran.store.reset([{ name: 'b' }]);
    const again = await run(path, [record('b', 2), globalState(2, { a: 1, b: 2 }), ...done]);
    expect(began(path)).toMatchObject([{ global: { shared_state: { lsn: 1 }, stream_states: [{ stream_descriptor: { name: 'a' } }] } }]);
    expect([again.exitCode, visible(path)]).toEqual([0, { a: [1], b: [2] }]);
    await run(path, [globalState(3, { a: 1, b: 2 }), ...done]);
    expect(began(path)).toMatchObject([{ global: { stream_states: [{}, {}] } }]);
  });

  test('reset of a stream that this run does not read waits for one that does', async () => {
    const { path, ran } = await first();
    await ran.store.reset([{ name: 'b' }]);
    await run(path, [globalState(2, { a: 2, b: 1 }), status('a', 'COMPLETE'), end(false)], { source: { streams: ['a'] } });
    await run(path, [record('b', 5), globalState(3, { a: 2, b: 3 }), ...done]);
    expect([began(path), visible(path)]).toMatchObject([[{ global: { stream_states: [{ stream_descriptor: { name: 'a' } }] } }], { b: [5] }]);
  });

  test('reset of the last stream in it forgets the position, too', async () => {
    const { path, ran } = await first();
    await ran.store.reset([{ name: 'a' }, { name: 'b' }]);
    await run(path, [globalState(2, { a: 2, b: 2 }), ...done]);
    expect(began(path)).toBeNull();
  });

  test('--full-refresh of some streams keeps the position of the others, of all forgets it', async () => {
    const { path } = await first();
    const only = [record('a', 3), globalState(2, { a: 3, b: 1 }), status('a', 'COMPLETE'), end(false)];
    const some = await run(path, only, { source: { streams: ['a'] }, plan: { fullRefresh: true } });
    expect([some.exitCode, began(path)]).toMatchObject([0, [{ global: { stream_states: [{ stream_descriptor: { name: 'b' } }] } }]]);
    expect(visible(path)).toEqual({ a: [3], b: [1] });
    await run(path, [record('a', 4), record('b', 4), globalState(3, { a: 4, b: 4 }), ...done], { plan: { fullRefresh: true } });
    expect([began(path), visible(path)]).toEqual([null, { a: [4], b: [4] }]);
  });

  test('takes the place of states a stream when the mode changes, and the other way round', async () => {
    const path = folder();
    const plain = [record('a', 1), state('a', 1), record('b', 1), state('b', 1), ...done];
    const ways: unknown[][] = [plain, [globalState(1, { a: 1, b: 1 }), ...done], plain];
    for (const [i, script] of ways.entries()) {
      const configure: NonNullable<Given['plan']>['configure'] = ({ streams }) =>
        ({ streams: streams.map((stream) => ({ stream, sync_mode: 'incremental', destination_sync_mode: 'append', cursor_field: i === 1 ? [] : ['id'] })) });
      const ran = await run(path, script, { plan: { configure } });
      expect([ran.exitCode, ran.summary.error]).toEqual([0, undefined]);
    }
    expect(visible(path)).toEqual({ a: [1], b: [1] });
  });

  test('the destination is ahead: its word is taken, and goes back to the source as it was', async () => {
    const { path } = await first();
    const ran = await run(path, [globalState(2, { a: 1, b: 1 }), ...done], { plan: { directory: join(path, 'other') } });
    expect([ran.exitCode, began(path)]).toEqual([0, [(JSON.parse(globalState(1, { a: 1, b: 1 })) as { state: object }).state]]);
  });
});
