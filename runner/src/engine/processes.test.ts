import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { folder, leftovers, linesOf, sync, upTo, visible, type Given } from './fixtures/syncs.js';

/** Both ends wait for START, and write down who they are. */
function waiting(path: string, { source, destination, ...given }: Given = {}): Given {
  return {
    path, session: true, extensions: { source: ['start'], destination: ['start'] }, ...given,
    source: { identity: 'fixture:1', pidFile: join(path, 'readers'), seen: join(path, 'read'), ...source },
    destination: { pidFile: join(path, 'writers'), seen: join(path, 'written'), ...destination },
  };
}

type Seen = { start: unknown; state: string; catalog: { streams: { stream: { name: string } }[] }; config: unknown; session: { source: string } };
const seen = (path: string, file: 'read' | 'written'): Seen[] => linesOf(join(path, file)).map((line) => JSON.parse(line) as Seen);
const isAlive = (pid: string): boolean => existsSync(`/proc/${pid}`);

describe('a connector that waits for START', () => {
  test('is started early: the destination while the source is asked for its catalog, the source while the destination opens', async () => {
    const path = folder();
    const ran = await sync(waiting(path, { source: { discoverAfter: [join(path, 'writers')] }, destination: { opensAfter: [join(path, 'readers')] } }));
    expect([ran.exitCode, visible(path)]).toEqual([0, { a: upTo(100) }]);
    expect([linesOf(join(path, 'readers')), linesOf(join(path, 'writers'))]).toEqual([[expect.any(String)], [expect.any(String)]]);
    expect(leftovers(path)).toEqual([]);
  });

  test('finds its catalog, its states and the identity of the source once START has come', async () => {
    const path = folder();
    await sync(waiting(path, { source: { count: 20 } }));
    await sync(waiting(path, { source: { count: 30 } }));
    expect(visible(path)).toEqual({ a: upTo(30) });
    expect(seen(path, 'read').map(({ start, state, catalog }) => [start, JSON.parse(state).map((one: { stream: { stream_state: object } }) => one.stream.stream_state), catalog.streams.length])).toEqual([
      [{ type: 'START', source: 'fixture:1' }, [], 1], [{ type: 'START', source: 'fixture:1' }, [{ n: 20, big: 0 }], 1],
    ]);
    expect(seen(path, 'written').map(({ start, session, catalog }) => [start, session.source, catalog.streams[0]!.stream.name])).toEqual(
      [1, 2].map(() => [{ type: 'START', source: 'fixture:1' }, '', 'a']),
    );
  });

  test('is gone, and has done nothing, when the source does not tell its catalog', async () => {
    const path = folder();
    const ran = await sync(waiting(path, { source: { discoverAfter: [join(path, 'writers')], discoverError: { message: 'no', failure_type: 'config_error', exit: 78 } } }));
    expect([ran.exitCode, ran.summary.error?.message]).toEqual([78, 'no']);
    expect(linesOf(join(path, 'writers')).map(isAlive)).toEqual([false]);
    expect([existsSync(join(path, 'rows')), seen(path, 'written'), leftovers(path)]).toEqual([false, [], []]);
  });

  test('is gone, and has read nothing, when the destination does not open', async () => {
    const path = folder();
    const ran = await sync(waiting(path, { destination: { opensAfter: [join(path, 'readers')], refuses: { message: 'no', failure_type: 'config_error' } } }));
    expect([ran.exitCode, ran.summary.error?.message, linesOf(join(path, 'readers')).map(isAlive), seen(path, 'read'), leftovers(path)]).toEqual([78, 'no', [false], [], []]);
  });

  test('has the configuration that the source renewed when it was asked for its catalog', async () => {
    const path = folder();
    const config = { identity: 'fixture:1', pidFile: join(path, 'readers'), seen: join(path, 'read'), token: 'new' };
    const ran = await sync(waiting(path, { source: { renew: config } }));
    expect([ran.exitCode, visible(path), seen(path, 'read').map((one) => one.config)]).toEqual([0, { a: upTo(100) }, [config]]);
  });

  test('that dies before it comes is tried again, as one that dies later', async () => {
    const path = folder();
    const ran = await sync(waiting(path, { destination: { diesWaiting: join(path, 'died') } }));
    expect([ran.exitCode, visible(path), linesOf(join(path, 'writers')).length]).toEqual([0, { a: upTo(100) }, 2]);
    expect(ran.messages).toContainEqual(expect.stringMatching(/^warn the destination fixture-destination was killed by SIGKILL.*trying again/));
  });
});

test('a connector that does not wait for START is started with its catalog, and gets no START', async () => {
  const path = folder();
  const ran = await sync({ ...waiting(path), extensions: {} });
  expect([ran.exitCode, visible(path)]).toEqual([0, { a: upTo(100) }]);
  expect([...seen(path, 'read'), ...seen(path, 'written')].map(({ start, session }) => [start, session.source])).toEqual([[null, 'fixture:1'], [null, 'fixture:1']]);
});
