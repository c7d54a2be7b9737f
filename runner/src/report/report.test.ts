import { describe, expect, test } from 'vitest';
import type { SyncSummary } from '../types.js';
import { bytes, count, time } from './numbers.js';
import { progressLine } from './progress-line.js';
import { jsonReporter, quietReporter, terminalReporter } from './reporters.js';
import { summaryText } from './summary.js';

const progress = (records: number, seconds: number, estimatedRecords?: number) => ({ records, bytes: records * 100, seconds, streamsDone: 1, streamsTotal: 3, estimatedRecords, lag: undefined });

test('numbers read well', () => {
  expect([count(1234567), bytes(999), bytes(1500), bytes(356_000_000), bytes(12_300_000_000)]).toEqual(['1,234,567', '999 B', '1.5 kB', '356 MB', '12.3 GB']);
  expect([time(1.23), time(42), time(250), time(7300)]).toEqual(['1.2 s', '42 s', '4 min 10 s', '2 h 1 min']);
});

test('the time that is left is told only where an estimate is not yet passed', () => {
  expect(progressLine(progress(1000, 10, 5000))).toBe('1,000 records · 100/s · 100 kB · 1 of 3 streams · about 40 s left');
  expect(progressLine(progress(6000, 10, 5000))).not.toContain('left');
  expect(progressLine(progress(0, 10, 5000))).not.toContain('left');
});

test('the progress line of a source that follows a log tells how far it is behind', () => {
  expect(progressLine({ ...progress(1000, 10), lag: { bytes: 16_000, seconds: 0.42 } })).toBe('1,000 records · 100/s · 100 kB · 1 of 3 streams · 10 s · 16.0 kB and 0.4 s behind');
  expect(progressLine({ ...progress(1000, 10), lag: { seconds: 90 } })).toContain('1 min 30 s behind');
  let out = '';
  const reporter = jsonReporter({ out: (text) => (out += text), err: () => undefined, redact: (text) => text, verbose: false, now: () => 2000 });
  reporter.progress({ ...progress(1, 1), lag: { bytes: 5, seconds: 0.5 } });
  expect(JSON.parse(out)).toMatchObject({ type: 'progress', lag_bytes: 5, lag_seconds: 0.5 });
});

describe('reporters', () => {
  const record = (make: typeof quietReporter) => {
    let out = '';
    let err = '';
    let now = 1_000_000;
    const reporter = make({ out: (text) => void (out += text), err: (text) => void (err += text), redact: (text) => text.replaceAll('pw', '****'), verbose: false, now: () => now });
    return { reporter, wait: (ms: number) => void (now += ms), out: () => out, err: () => err };
  };
  test('away from a terminal, progress is a line every ten seconds', () => {
    const { reporter, wait, err } = record(quietReporter);
    reporter.progress(progress(1, 1));
    wait(9_000);
    reporter.progress(progress(2, 9));
    wait(1_000);
    reporter.progress(progress(3, 10));
    expect(err()).toMatch(/^3 records.*\n$/);
  });
  test('on a terminal one line is rewritten, and messages stand above it, without secrets', () => {
    const { reporter, wait, err } = record(terminalReporter);
    reporter.progress(progress(1, 1));
    wait(50);
    reporter.progress(progress(2, 1));
    reporter.message('warn', 'the pw is wrong');
    reporter.message('debug', 'noise');
    reporter.close();
    expect(err()).toMatch(/^1 records[^\n]*\r\x1b\[2Kwarning: the \*{4} is wrong\n1 records[^\n]*\r\x1b\[2K$/);
  });
  test('for scripts, stdout has JSON lines with the names of the contract, once a second, the last one too', () => {
    const { reporter, wait, out, err } = record(jsonReporter);
    reporter.progress(progress(1, 1));
    reporter.progress(progress(2, 1.1));
    wait(100);
    reporter.message('warn', 'careful');
    reporter.close();
    const lines = out().trim().split('\n').map((line) => JSON.parse(line) as object);
    expect(lines).toEqual([1, 2].map((records) => ({ type: 'progress', records, bytes: records * 100, seconds: records === 1 ? 1 : 1.1, streams_done: 1, streams_total: 3 })));
    expect(err()).toBe('warning: careful\n');
  });
});

describe('the summary', () => {
  const summary = (rest: Partial<SyncSummary>): SyncSummary => ({ type: 'summary', status: 'failed', sync: 's', records: 2, bytes: 20, seconds: 1, streams: [], states_saved: 1, ...rest });
  test('names what failed first, and no more than people read', () => {
    const streams = Array.from({ length: 60 }, (_, index) => ({ namespace: 'public', name: `t${index}`, status: index === 59 ? ('failed' as const) : ('succeeded' as const), records: 0, bytes: 0 }));
    const text = summaryText(summary({ status: 'partial', streams }), '/d');
    expect(text.split('\n')[2]).toContain('public.t59');
    expect(text).toContain('and 20 more, all succeeded');
  });
  test.each([
    ['config_error', 'Once that is put right, run it again: it continues from the last checkpoint (/d/state.json)'],
    ['transient_error', 'Run it again later'],
    ['system_error', '--verbose'],
  ])('after a %s it says what to do', (kind, next) => expect(summaryText(summary({ error: { kind, message: 'm' } }), '/d')).toContain(next));
  test('where nothing was saved it does not promise to continue', () => expect(summaryText(summary({ states_saved: 0, error: { kind: 'transient_error', message: 'm' } }), '/d')).toContain('nothing new was checkpointed'));
  test('values that the destination could not hold are told, and only then', () => {
    expect(summaryText(summary({ status: 'succeeded', nulled_values: 1200 }), '/d').split('\n')[2]).toBe('1,200 values became null, because the destination cannot hold them: _airbyte_meta tells which and why');
    expect(summaryText(summary({ nulled_values: 1 }), '/d')).toContain('1 value became null, because the destination cannot hold it');
  });
  test('after success there is nothing to do', () => expect(summaryText(summary({ status: 'succeeded' }), '/d').split('\n')).toHaveLength(3));
});
