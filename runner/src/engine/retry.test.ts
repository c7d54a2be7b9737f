import { configError, protocolError, systemError, transientError, type ConnectorError } from '@tapline/protocol';
import { expect, test } from 'vitest';
import { noFailures, retryAfter, worst, type RetryState } from './retry.js';
import { defaultTiming } from './timing.js';

function waits(error: ConnectorError, retries = 5, random = 0.5): number[] {
  const found: number[] = [];
  let state: RetryState = noFailures;
  for (;;) {
    const retry = retryAfter(error, state, { retries, timing: defaultTiming, random });
    if (!retry) return found;
    found.push(retry.waitMs);
    state = retry.next;
  }
}

test('a transient error waits 1, 2, 4, 8, 16 s, give or take 20%, and is then given up', () => {
  expect(waits(transientError('x'))).toEqual([1000, 2000, 4000, 8000, 16000]);
  expect(waits(transientError('x'), 2, 0)).toEqual([800, 1600]);
  expect(Math.max(...waits(transientError('x'), 20, 0.5))).toBe(300_000);
});

test('a death without a word and a broken protocol are tried once more', () => {
  expect(waits(systemError('x', { code: 'died' }))).toEqual([1000]);
  expect(waits(protocolError('x'))).toEqual([1000]);
  expect(waits(protocolError('x'), 0)).toEqual([]);
});

test('a config_error, a bug, a writer that was replaced and a sync that runs already are not', () => {
  for (const error of [configError('x'), systemError('x'), transientError('x', { code: 'fenced' }), transientError('x', { code: 'locked' })]) {
    expect(waits(error)).toEqual([]);
  }
});

test('of several errors the one that the user must act on decides', () => {
  expect(worst([transientError('t'), configError('c'), systemError('s')])?.message).toBe('c');
  expect(worst([transientError('t'), systemError('s')])?.message).toBe('s');
  expect(worst([])).toBeUndefined();
});
