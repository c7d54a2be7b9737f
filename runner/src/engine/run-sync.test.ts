import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { folder, leftovers, linesOf, record, state, status, sync, traceError, upTo, visible } from './fixtures/syncs.js';

const count = (n: number): string[] => upTo(n).map((id) => `a ${id}`);

describe('a sync without sessions', () => {
  test('moves every record, saves the last state, and leaves nothing behind', async () => {
    const ran = await sync({ source: { count: 100 } });
    expect(ran.exitCode).toBe(0);
    expect(ran.lines('rows')).toEqual(count(100));
    expect(ran.summary).toMatchObject({ status: 'succeeded', records: 100, sync: 'test', streams: [{ name: 'a', status: 'succeeded', records: 100 }] });
    expect(await ran.states()).toEqual([{ type: 'STREAM', stream: { stream_descriptor: { name: 'a' }, stream_state: { n: 100, big: 0 } } }]);
    expect(leftovers(ran.path)).toEqual([]);
  });

  test('goes on from the state of the run before', async () => {
    const { path } = await sync({ source: { count: 50 } });
    const ran = await sync({ path, source: { count: 80 } });
    expect([ran.exitCode, ran.summary.records]).toEqual([0, 30]);
    expect(ran.lines('rows')).toEqual(count(80));
  });

  test('gives --state as an array of the source\'s own bytes, and leaves it out at first', async () => {
    const odd = '{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{"big":12345678901234567890.10,"x":"\\u0041"}}}';
    const path = folder();
    const script = [record('a', 1), `{"type":"STATE","state":${odd}}\n`];
    await sync({ path, source: { script, seen: join(path, 'seen') } });
    await sync({ path, source: { script, seen: join(path, 'seen') } });
    const seen = linesOf(join(path, 'seen')).map((line) => (JSON.parse(line) as { state: string | null }).state);
    expect(seen).toEqual([null, `[${odd}]`]);
  });

  test('lists empty streams, too', async () => {
    const ran = await sync({ source: { streams: ['a', 'b'], script: [record('a', 1), state('a', 1)] } });
    expect(ran.summary.streams).toEqual([
      { name: 'a', status: 'succeeded', records: 1, bytes: record('a', 1).length }, { name: 'b', status: 'succeeded', records: 0, bytes: 0 },
    ]);
  });

  test('tells the destination COMPLETE of each stream, after everything else', async () => {
    const path = folder();
    await sync({ path, source: { streams: ['a', 'b'], script: [status('a', 'COMPLETE'), status('b', 'COMPLETE'), record('a', 1), state('a', 1)] }, destination: { log: join(path, 'log') } });
    const log = linesOf(join(path, 'log')).map((line) => JSON.parse(line) as { type: string; trace?: { stream_status: { stream_descriptor: { name: string } } } });
    expect(log.map(({ type, trace }) => trace?.stream_status.stream_descriptor.name ?? type)).toEqual(['RECORD', 'STATE', 'a', 'b']);
  });

  test('ends a full refresh without states with an empty one, so that the destination has something to answer', async () => {
    const path = folder();
    const ran = await sync({ path, mode: 'full_refresh', write: 'overwrite', source: { resumable: false, script: [{ records: 3 }] }, destination: { log: join(path, 'log') } });
    expect(linesOf(join(path, 'log')).filter((line) => line.includes('"STATE"'))).toHaveLength(1);
    expect(await ran.states()).toEqual([]);
    expect([ran.exitCode, ran.summary.records, ran.summary.states_saved]).toEqual([0, 3, 0]);
  });
});

describe('what a source may print', () => {
  test('garbage, unknown types, blank lines and logs: warned about once, and the run goes on', async () => {
    const ran = await sync({
      source: {
        token: 'swordfish', script: ['Traceback swordfish\n', '\n', '{"row":"of data"\n', '{"type":"DEBUG","x":1}\n', '{"type":"DEBUG","x":2}\n',
          '{"type":"LOG","log":{"level":"INFO","message":"my token is swordfish"}}\n', record('a', 1), state('a', 1)],
      },
    });
    expect([ran.exitCode, ran.summary.records]).toEqual([0, 1]);
    expect(ran.messages.filter((text) => text.startsWith('warn'))).toEqual([
      'warn fixture-source printed a line that is no message (line 1: Traceback ****); such lines are ignored',
      'warn fixture-source sent a message of the unknown type "DEBUG"; such messages are ignored',
      'warn fixture-source printed 2 lines that are no messages',
    ]);
    expect(ran.messages).toContain('info fixture-source: my token is ****');
    expect(ran.messages.join()).not.toMatch(/swordfish|of data/);
  });

  test('half a line at the end is a broken protocol, even with exit 0; what was before it is kept', async () => {
    const ran = await sync({ source: { script: [record('a', 1), state('a', 1), record('a', 2).slice(0, -9)] } });
    expect([ran.exitCode, ran.summary.status]).toEqual([76, 'failed']);
    expect(await ran.states()).toHaveLength(1);
    expect(ran.messages.filter((text) => text.includes('trying again'))).toHaveLength(1);
  });

  test('nothing at all from discover: 76', async () => {
    const ran = await sync({ source: { silentVerbs: true } });
    expect([ran.exitCode, ran.summary.error?.message]).toMatchObject([76, expect.stringContaining('printed no message')]);
  });

  test('30 MB on stderr do not hold it up', async () => {
    const ran = await sync({ source: { script: [{ stderr: 30_000 }, record('a', 1), state('a', 1)] } });
    expect([ran.exitCode, ran.summary.records]).toEqual([0, 1]);
  });

  test('a state without a type, a legacy one, and one that is global', async () => {
    const bare = '{"type":"STATE","state":{"stream":{"stream_descriptor":{"name":"a"},"stream_state":{"n":1}}}}\n';
    expect(await (await sync({ source: { script: [record('a', 1), bare] } })).states()).toEqual([{ stream: { stream_descriptor: { name: 'a' }, stream_state: { n: 1 } } }]);
    const path = folder();
    const legacy = { script: [record('a', 1), '{"type":"STATE","state":{"data":{"at":1.50}}}\n'], seen: join(path, 'seen') };
    expect((await sync({ path, source: legacy })).exitCode).toBe(0);
    await sync({ path, source: legacy });
    expect((JSON.parse(linesOf(join(path, 'seen'))[1]!) as { state: string }).state).toBe('{"at":1.50}');
    const global = await sync({ source: { count: 20, streams: ['a', 'b'], global: true } });
    expect([global.exitCode, global.summary.records]).toEqual([0, 40]);
    expect(await global.states()).toHaveLength(1);
  });

  test('kinds of states mixed: 76', async () => {
    const ran = await sync({ source: { script: [state('a', 1), '{"type":"STATE","state":{"type":"GLOBAL","global":{"stream_states":[]}}}\n'] } });
    expect([ran.exitCode, ran.summary.error?.message]).toMatchObject([76, expect.stringContaining('mixes states')]);
  });

  test('a state after COMPLETE is saved', async () => {
    const ran = await sync({ source: { script: [status('a', 'STARTED'), record('a', 1), status('a', 'COMPLETE'), state('a', 7)] } });
    expect([ran.exitCode, await ran.states()]).toMatchObject([0, [{ stream: { stream_state: { n: 7 } } }]]);
  });
});

describe('how a source may end', () => {
  test('at once, or in the middle, without a word: retried once, then 1; up to its last state all is kept', async () => {
    for (const script of [[{ exit: 3 }], [record('a', 1), state('a', 1), record('a', 2), { signal: 'SIGKILL' }]]) {
      const path = folder();
      const ran = await sync({ path, source: { script, pidFile: join(path, 'pids') } });
      expect([ran.exitCode, ran.summary.status, ran.summary.error?.kind]).toEqual([1, 'failed', 'system_error']);
      expect(linesOf(join(path, 'pids'))).toHaveLength(2);
      expect(leftovers(path)).toEqual([]);
    }
  });

  test('with its last words on stderr in the message', async () => {
    const ran = await sync({ source: { script: [{ words: 'cannot find libfoo.so' }, { sleep: 50 }, { exit: 127 }] } });
    expect(ran.summary.error?.message).toContain('exited with 127 without an error message; the last line of its stderr: cannot find libfoo.so');
  });

  test('with a config_error: never retried, 78', async () => {
    const path = folder();
    const ran = await sync({ path, source: { script: [traceError('config_error', 'the password is wrong: correct it'), { exit: 1 }], pidFile: join(path, 'pids') } });
    expect([ran.exitCode, ran.summary.error, linesOf(join(path, 'pids')).length]).toEqual([78, { kind: 'config_error', message: 'the password is wrong: correct it' }, 1]);
  });

  test('with a system_error: 1, not retried; with a transient_error: five retries, then 75', async () => {
    const path = folder();
    expect((await sync({ path, source: { script: [traceError('system_error', 'a bug'), { exit: 1 }], pidFile: join(path, 'pids') } })).exitCode).toBe(1);
    expect(linesOf(join(path, 'pids'))).toHaveLength(1);
    const ran = await sync({ path, source: { script: [traceError('transient_error', 'busy'), { exit: 1 }], pidFile: join(path, 'more') } });
    expect([ran.exitCode, linesOf(join(path, 'more')).length]).toEqual([75, 6]);
  });

  test('a retry goes on from what was saved, and its records count once', async () => {
    const path = folder();
    const scripts = [[record('a', 1), state('a', 1), record('a', 2), traceError('transient_error', 'busy'), { exit: 1 }], [record('a', 2), state('a', 2)]];
    const ran = await sync({ path, source: { script: [], scripts, attempts: join(path, 'n'), seen: join(path, 'seen') } });
    expect([ran.exitCode, ran.summary.records, ran.summary.states_saved]).toEqual([0, 2, 2]);
    expect((JSON.parse(linesOf(join(path, 'seen'))[1]!) as { state: string }).state).toContain('"n":1');
  });

  test('with exit 0 after a TRACE ERROR or an INCOMPLETE: not a success', async () => {
    expect((await sync({ source: { script: [record('a', 1), state('a', 1), traceError('system_error', 'oops')] } })).exitCode).toBe(1);
    const ran = await sync({ source: { streams: ['a', 'b'], script: [status('a', 'COMPLETE'), status('b', 'STARTED'), status('b', 'INCOMPLETE')] } });
    expect([ran.exitCode, ran.summary.status, ran.summary.streams.map((one) => one.status)]).toEqual([1, 'partial', ['succeeded', 'incomplete']]);
  });

  test('with one stream failed and the others complete: partial, and the exit is the worst one\'s', async () => {
    const script = [
      record('a', 1), state('a', 1), status('a', 'COMPLETE'), status('b', 'STARTED'), status('c', 'STARTED'),
      traceError('system_error', 'no table b', { stream_descriptor: { name: 'b' } }), traceError('config_error', 'no grant on c', { stream_descriptor: { name: 'c' } }), { exit: 1 },
    ];
    const ran = await sync({ source: { streams: ['a', 'b', 'c'], script } });
    expect([ran.exitCode, ran.summary.status]).toEqual([78, 'partial']);
    expect(ran.summary.streams.map((one) => one.status)).toEqual(['succeeded', 'failed', 'failed']);
  });

  test('after COMPLETE, badly: its streams are not taken for complete, and what it sent is kept', async () => {
    const path = folder();
    const ran = await sync({ path, source: { script: [record('a', 1), state('a', 1), status('a', 'COMPLETE'), { exit: 9 }] }, destination: { log: join(path, 'log') } });
    expect([ran.exitCode, (await ran.states()).length]).toEqual([1, 1]);
    expect(linesOf(join(path, 'log')).some((line) => line.includes('COMPLETE'))).toBe(false);
  });
});

describe('what a destination may do', () => {
  test.each(['strip', 'bare'])('answer without ids (%s): in order', async (echo) => {
    const ran = await sync({ source: { count: 40, streams: ['a', 'b'] }, destination: { echo } });
    expect([ran.exitCode, ran.summary.records, (await ran.states()).length]).toEqual([0, 80, 2]);
  });

  test('answer nothing, with exit 0: 76, and nothing is saved', async () => {
    const ran = await sync({ source: { count: 20 }, destination: { echo: 'none' } });
    expect([ran.exitCode, await ran.states()]).toEqual([76, []]);
    expect(ran.summary.error?.message).toContain('did not send back');
  });

  test('count otherwise: the state is not saved, the run stops', async () => {
    const ran = await sync({ source: { count: 20 }, destination: { miscount: -1 } });
    expect([ran.exitCode, await ran.states(), ran.summary.error?.kind]).toEqual([1, [], 'system_error']);
    expect(ran.summary.error?.message).toContain('10 were sent, and the destination says that it stored 9');
    expect(ran.messages.some((text) => text.includes('trying again'))).toBe(false);
  });

  test('tell of values that became null: the summary has their number, and only then', async () => {
    const { summary } = await sync({ source: { count: 20 }, destination: { nulledValues: 3 } });
    expect(summary).toMatchObject({ status: 'succeeded', nulled_values: 3 * summary.states_saved });
    expect((await sync({ source: { count: 20 } })).summary).not.toHaveProperty('nulled_values');
  });

  test('die in the middle: the source is stopped, one retry, then 1', async () => {
    const path = folder();
    const ran = await sync({ path, source: { count: 100_000, ignoreTerm: true, pidFile: join(path, 'pids') }, destination: { dieAfter: 5 } });
    expect([ran.exitCode, ran.summary.error?.message]).toMatchObject([1, expect.stringContaining('fixture-destination was killed by SIGKILL')]);
    expect(linesOf(join(path, 'pids')).map(Number).some(isRunning)).toBe(false);
  });

  test('say why it cannot: that is the error, not the broken pipe', async () => {
    const ran = await sync({ source: { count: 100_000 }, destination: { error: { message: 'no such bucket', failure_type: 'config_error' } } });
    expect([ran.exitCode, ran.summary.error?.message]).toEqual([78, 'no such bucket']);
  });

  test('exit with 0 before its input has ended: 76', async () => {
    const ran = await sync({ source: { count: 100_000 }, destination: { exitAtOnce: 0 } });
    expect([ran.exitCode, ran.summary.error?.message]).toMatchObject([76, expect.stringContaining('before its input had ended')]);
  });

  test('exit badly after everything was answered: not a success', async () => {
    expect((await sync({ source: { count: 20 }, destination: { exit: 4 } })).exitCode).toBe(1);
  });
});

describe('files of a connector', () => {
  test('are private, end in .json, and are gone after the run; the environment is what was allowed', async () => {
    const path = folder();
    const ran = await sync({ path, source: { token: 'swordfish', count: 20, seen: join(path, 'seen') } });
    expect(leftovers(path)).toEqual([]);
    expect(statSync(join(path, 'state', 'test', 'state.json')).mode & 0o777).toBe(0o600);
    expect(ran.exitCode).toBe(0);
    const { catalog } = JSON.parse(linesOf(join(path, 'seen'))[0]!) as { catalog: { streams: { generation_id: number; minimum_generation_id: number; sync_id: number }[] } };
    expect(catalog.streams[0]).toMatchObject({ generation_id: 1, minimum_generation_id: 0, sync_id: expect.any(Number) });
  });

  test('a configuration that the connector renewed is used from then on, until the user changes his', async () => {
    const path = folder();
    const control = { type: 'CONTROL', control: { type: 'CONNECTOR_CONFIG', emitted_at: 1.5, connectorConfig: { config: { script: [], seen: join(path, 'seen'), token: 'second' } } } };
    const source = { script: [control, record('a', 1), state('a', 1)], seen: join(path, 'seen'), token: 'first' };
    await sync({ path, source });
    await sync({ path, source });
    await sync({ path, source: { ...source, token: 'mine' } });
    expect(linesOf(join(path, 'seen')).map((line) => (JSON.parse(line) as { config: { token: string } }).config.token)).toEqual(['first', 'second', 'mine']);
    expect(statSync(join(path, 'state', 'test', 'source-config.json')).mode & 0o777).toBe(0o600);
  });
});

describe('a sync with sessions', () => {
  test('moves everything once, acknowledges only what was saved, and ends with END', async () => {
    const path = folder();
    const ran = await sync({ path, session: true, source: { count: 100, identity: 'here', acks: join(path, 'acks') } });
    expect([ran.exitCode, visible(path)]).toEqual([0, { a: upTo(100) }]);
    const acks = linesOf(join(path, 'acks')).map((line) => JSON.parse(line) as { type: string; state: { id: number; stream: unknown } });
    expect(acks.at(-1)).toMatchObject({ type: 'STATE', state: { id: 11, stream: { stream_state: { n: 100 } } } });
    const stored = JSON.parse(readFileSync(join(path, 'state', 'test', 'state.json'), 'utf8')) as object;
    expect(stored).toMatchObject({ v: 1, state_id: 11, epoch: 1, source: 'here', generations: { a: { id: 1, complete: true } } });
  });

  test('a full refresh runs in a generation of its own each time, and replaces', async () => {
    const path = folder();
    const given = { path, session: true, mode: 'full_refresh', write: 'overwrite', source: { count: 30 } } as const;
    expect((await sync(given)).exitCode).toBe(0);
    const ran = await sync({ ...given, source: { count: 20 } });
    expect([ran.exitCode, ran.summary.records, visible(path)]).toEqual([0, 20, { a: upTo(20) }]);
  });

  test('takes what the destination holds when the state directory is lost', async () => {
    const path = folder();
    await sync({ path, session: true, source: { count: 30, identity: 'here' } });
    const ran = await sync({ path, session: true, source: { count: 50, identity: 'here' }, plan: { directory: join(path, 'other') } });
    expect([ran.exitCode, ran.summary.records, visible(path)]).toEqual([0, 20, { a: upTo(50) }]);
  });

  test('of another source: a config_error, and nothing moves; with --full-refresh it is replaced', async () => {
    const path = folder();
    await sync({ path, session: true, source: { count: 30, identity: 'here' } });
    for (const directory of [join(path, 'state', 'test'), join(path, 'other')]) {
      const ran = await sync({ path, session: true, source: { count: 50, identity: 'there' }, plan: { directory } });
      expect([ran.exitCode, ran.summary.error?.message]).toMatchObject([78, expect.stringContaining('--full-refresh')]);
    }
    const ran = await sync({ path, session: true, source: { count: 10, identity: 'there' }, plan: { fullRefresh: true } });
    expect([ran.exitCode, visible(path)]).toEqual([0, { a: upTo(10) }]);
    expect((await sync({ path, session: true, source: { count: 12, identity: 'there' } })).summary.records).toBe(2);
  });

  test('an emptied destination is a config_error that names the two ways on, and both work', async () => {
    for (const plan of [{ fromDestination: true }, { fullRefresh: true }]) {
      const path = folder();
      await sync({ path, session: true, source: { count: 30 } });
      writeFileSync(join(path, 'rows'), JSON.stringify({ epoch: 9, state_id: 0, source: '', states: [], generations: {}, open: {}, visible: {}, deferred: {} }));
      const ran = await sync({ path, session: true, source: { count: 30 } });
      expect([ran.exitCode, ran.summary.error?.message]).toMatchObject([78, expect.stringMatching(/--from-destination.*--full-refresh/)]);
      expect((await sync({ path, session: true, source: { count: 30 }, plan })).exitCode).toBe(0);
      expect(visible(path)).toEqual({ a: upTo(30) });
    }
  });

  test('a changed cursor begins a new generation: the rows of the old one leave', async () => {
    const path = folder();
    await sync({ path, session: true, source: { count: 30 } });
    const ran = await sync({ path, session: true, write: 'append', mode: 'full_refresh', source: { count: 40 } });
    expect([ran.exitCode, visible(path)]).toEqual([0, { a: upTo(40) }]);
  });
});

describe('the state file', () => {
  test('that is cut off is a config_error that names it and the ways on; reset gets out of it', async () => {
    const { path, store } = await sync({ session: true, source: { count: 30 } });
    writeFileSync(store.path, readFileSync(store.path, 'utf8').slice(0, 40));
    const ran = await sync({ path, session: true, source: { count: 30 } });
    expect([ran.exitCode, ran.summary.error?.message]).toMatchObject([78, expect.stringMatching(/state\.json is cut off.*--from-destination.*runner state reset test/s)]);
    await store.reset();
    const again = await sync({ path, session: true, source: { count: 30 } });
    expect([again.exitCode, again.summary.records, visible(path)]).toEqual([0, 30, { a: upTo(30) }]);
  });

  test('set is taken as meant: the destination does not look ahead or behind', async () => {
    const { path, store } = await sync({ session: true, source: { count: 30 } });
    await store.set(['{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{"n":25}}}']);
    const ran = await sync({ path, session: true, source: { count: 30 } });
    expect([ran.exitCode, ran.summary.records]).toEqual([0, 5]);
    expect(existsSync(join(store.directory, 'overrides.json'))).toBe(false);
    expect((await sync({ path, session: true, source: { count: 30 } })).summary.records).toBe(0);
  });

  test('reset of one stream reads that one again, in place of its rows', async () => {
    const { path, store } = await sync({ session: true, source: { count: 30, streams: ['a', 'b'] } });
    await store.reset([{ name: 'b' }]);
    const ran = await sync({ path, session: true, source: { count: 30, streams: ['a', 'b'] } });
    expect([ran.exitCode, ran.summary.streams.map(({ records }) => records), visible(path)]).toEqual([0, [0, 30], { a: upTo(30), b: upTo(30) }]);
    expect((await sync({ path, session: true, source: { count: 30, streams: ['a', 'b'] } })).summary.records).toBe(0);
  });

  test('keeps a bounded history', async () => {
    const ran = await sync({ source: { count: 1000, pauseMs: 2 } });
    const history = await ran.store.history();
    expect(history.length).toBeLessThanOrEqual(41);
    expect((await ran.store.fromHistory(history.at(-1)!.id)).states).toHaveLength(1);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
