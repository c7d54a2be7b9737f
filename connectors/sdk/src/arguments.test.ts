import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseArguments, usage } from './arguments.js';
import { defineSource } from './index.js';

const source = defineSource({ name: 'source-x', version: '1', config: z.unknown(), async check() {}, async discover() { return { streams: [] }; }, async *read() {} });
const parse = (...argv: string[]) => parseArguments(source as never, argv);

describe('the command line', () => {
  test('takes --flag FILE and --flag=FILE alike', () => {
    expect(parse('read', '--config', 'c.json', '--catalog=k=1.json')).toEqual({ verb: 'read', files: { config: 'c.json', catalog: 'k=1.json' } });
  });
  test.each([
    [[], 'a verb is missing'],
    [['raed'], "'raed' is not a verb of source-x"],
    [['write'], "'write' is not a verb of source-x"],
    [['check', '--config', 'c', '--catalog', 'k'], 'check does not take --catalog'],
    [['check', '--confg', 'c'], 'check does not take --confg'],
    [['check', 'c.json'], "'c.json' is not expected here"],
    [['check', '--config'], '--config needs a file'],
    [['check', '--config='], '--config needs a file'],
    [['check', '--config', 'a', '--config', 'b'], '--config is given twice'],
    [['check'], 'check needs --config FILE'],
    [['read', '--config', 'c'], 'read needs --catalog FILE'],
  ])('refuses %j: %s', (argv, message) => {
    expect(() => parse(...argv)).toThrow(message);
  });
  test('explains itself', () => {
    expect(parse('read', '--help')).toBe('help');
    expect(usage(source as never)).toContain('source-x read --config FILE --catalog FILE [--state FILE] [--session FILE]');
  });
});
