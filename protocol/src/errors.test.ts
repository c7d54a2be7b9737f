import { describe, expect, test } from 'vitest';
import { configError, ConnectorError, protocolError, systemError, toConnectorError, transientError } from './errors.js';
import { ExitCode, exitCodeOf } from './exit-codes.js';

test('the exit codes are those of the contract', () => {
  expect(ExitCode).toEqual({ ok: 0, system: 1, transient: 75, protocol: 76, config: 78, interrupted: 130, terminated: 143 });
});

test.each([
  [configError('m'), 78],
  [transientError('m'), 75],
  [systemError('m'), 1],
  [protocolError('m'), 76],
  [toConnectorError(new TypeError('m')), 1],
])('%s exits with %i', (error, code) => expect(exitCodeOf(error)).toBe(code));

describe('any thrown value', () => {
  test('becomes a system_error that keeps its cause', () => {
    const cause = new TypeError('x is not a function');
    expect(toConnectorError(cause)).toMatchObject({ kind: 'system_error', code: 'unexpected', message: 'x is not a function', cause });
    expect(toConnectorError('text')).toMatchObject({ kind: 'system_error', message: 'text' });
  });
  test('that is a ConnectorError stays what it is', () => {
    const error = configError('m', { code: 'pg_auth_failed', stream: { name: 'orders' } });
    expect(toConnectorError(error)).toBe(error);
    expect(error).toBeInstanceOf(ConnectorError);
    expect([error.code, error.stream]).toEqual(['pg_auth_failed', { name: 'orders' }]);
  });
});
