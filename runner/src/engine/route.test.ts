import { readBlocks, splitBlock } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import { Router, type RouteEvents } from './route.js';
import { StreamTable } from './stream-table.js';

interface Seen {
  readonly junk: string[];
  readonly states: string[];
  readonly other: string[];
  readonly unknown: string[];
}

function routerOf(streams: readonly { name: string; namespace?: string }[]): { router: Router; table: StreamTable; seen: Seen } {
  const seen: Seen = { junk: [], states: [], other: [], unknown: [] };
  const table = new StreamTable(
    streams.map((stream) => ({ stream: { ...stream, json_schema: {} }, sync_mode: 'full_refresh' as const, destination_sync_mode: 'append' as const })),
  );
  const events: RouteEvents = {
    state: (line) => {
      seen.states.push(line.toString());
      return Buffer.from(`<state ${seen.states.length}>\n`);
    },
    extension: (line) => {
      seen.other.push(line.toString());
      return false;
    },
    message: (_line, { type }) => void seen.other.push(type),
    junk: (line, number) => void seen.junk.push(`${number}:${line.length}`),
    unknownStream: ({ name }) => void seen.unknown.push(name),
  };
  return { router: new Router(table, events), table, seen };
}

const record = (stream: string, data: string): string => `{"type":"RECORD","record":{"stream":"${stream}","emitted_at":1,"data":${data}}}\n`;
const routed = (router: Router, text: string): string => Buffer.concat(router.route(Buffer.from(text))).toString();

describe('a block of records', () => {
  test('goes on as the same bytes, not copied', () => {
    const { router, table } = routerOf([{ name: 'a' }]);
    const block = Buffer.from(record('a', '{"x":1}').repeat(3));
    const pieces = router.route(block);
    expect(pieces).toEqual([block]);
    expect(pieces[0]).toBe(block);
    expect(table.streams[0]).toMatchObject({ records: 3, bytes: block.length });
  });

  test('is cut at a state, and only there', () => {
    const { router, seen } = routerOf([{ name: 'a' }]);
    const text = record('a', '{}').repeat(2) + '{"type":"STATE","state":{}}\n' + record('a', '{}');
    expect(router.route(Buffer.from(text)).map(String)).toEqual([record('a', '{}').repeat(2), '<state 1>\n', record('a', '{}')]);
    expect(seen.states).toEqual(['{"type":"STATE","state":{}}']);
  });

  test('loses its logs, junk, blank lines and records of other streams, and nothing else', () => {
    const { router, seen, table } = routerOf([{ name: 'a' }]);
    const log = '{"type":"LOG","log":{"level":"INFO","message":"x"}}\n';
    const out = routed(router, log + record('a', '1') + 'Traceback\n\n \r\n' + record('b', '2').repeat(3) + '{"pretty":\n' + record('a', '3'));
    expect(out).toBe(record('a', '1') + record('a', '3'));
    expect(seen).toEqual({ junk: ['3:9', '9:10'], states: [], other: ['LOG'], unknown: ['b'] });
    expect(table.streams[0]!.records).toBe(2);
  });
});

describe('the stream of a record', () => {
  test('is told by its namespace, wherever that stands', () => {
    const { router, table } = routerOf([{ name: 'a', namespace: 'x' }, { name: 'a', namespace: 'y' }, { name: 'a' }]);
    const late = (namespace: string): string => `{"type":"RECORD","record":{"stream":"a","data":{},"emitted_at":1,"namespace":"${namespace}"}}\n`;
    routed(router, late('x') + late('y').repeat(2) + record('a', '{}').repeat(4) + late('x').repeat(8));
    expect(table.streams.map(({ records }) => records)).toEqual([9, 2, 4]);
  });

  test('is found by its name alone where only one has it', () => {
    const { router, table } = routerOf([{ name: 'a', namespace: 'x' }, { name: 'b' }]);
    routed(router, record('a', '{}').repeat(3) + '{"record":{"namespace":"q","data":{},"stream":"b"},"type":"RECORD"}\n');
    expect(table.streams.map(({ records }) => records)).toEqual([3, 1]);
  });

  test('is not mistaken for one whose name begins alike, or is escaped', () => {
    const { router, table } = routerOf([{ name: 'a' }, { name: 'a","b' }, { name: 'ab' }]);
    routed(router, record('a', '1') + record('a\\",\\"b', '2').repeat(2) + record('ab', '3').repeat(3) + record('\\u0061', '4'));
    expect(table.streams.map(({ records }) => records)).toEqual([2, 2, 3]);
  });
});

describe('a line that is not whole', () => {
  test('breaks the protocol if it is a RECORD: what was before it goes on, nothing after', () => {
    const { router } = routerOf([{ name: 'a' }]);
    const half = record('a', '{"x":"secret"}').slice(0, -6) + '\n';
    expect(routed(router, record('a', '1') + half + record('a', '2'))).toBe(record('a', '1'));
    expect(router.failure).toMatchObject({ code: 'protocol' });
    expect(router.failure!.message).not.toContain('secret');
    expect(routed(router, record('a', '3'))).toBe('');
  });

  test.each(['{"type":"RECORD","record":{"stream":"a","data":{"x":{}', '{"type":"LOG","log":{', 'half a wo'])('breaks it at the end of the output: %s', (text) => {
    const { router } = routerOf([{ name: 'a' }]);
    expect(routed(router, record('a', '{}') + text)).toBe(record('a', '{}'));
    expect(router.failure!.message).toContain(`line 2, after ${text.length} bytes`);
  });

  test('but for its newline is whole, and gets one', () => {
    const { router } = routerOf([{ name: 'a' }]);
    expect(routed(router, record('a', '{}') + record('a', '{}').trimEnd())).toBe(record('a', '{}').repeat(2));
    expect(router.failure).toBeUndefined();
  });
});

test('CRLF ends go on as they came', () => {
  const { router } = routerOf([{ name: 'a' }]);
  const text = record('a', '{}').replace('\n', '\r\n').repeat(3);
  expect(routed(router, text)).toBe(text);
});

describe('fuzz', () => {
  test('whatever the order of keys, the nesting and the chunks, the bytes that go on are those of the records', async () => {
    for (let seed = 1; seed <= 150; seed++) await fuzzOnce(seed);
  });

  async function fuzzOnce(seed: number): Promise<void> {
    const random = randomOf(seed);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    const streams = [{ name: 'a' }, { name: 'b', namespace: 'n' }, { name: 'a', namespace: 'n' }, { name: 'odd "\\ \u2028 é' }, { name: 'RECORD' }];
    const { router, table, seen } = routerOf(streams);
    const space = (): string => (random() < 0.15 ? pick([' ', '  ', '\t']) : '');
    const object = (members: readonly (readonly [string, string])[]): string =>
      `${space()}{${members.map(([key, value]) => `${space()}${JSON.stringify(key)}${space()}:${space()}${value}${space()}`).join(',')}}${space()}`;
    const shuffled = <T>(items: readonly T[]): T[] => (random() < 0.6 ? [...items] : [...items].sort(() => random() - 0.5));
    const value = (depth = 0): string => pick([
      () => '"\\"type\\":\\"STATE\\""', () => '"}}\\\\"', () => '"{\\"type\\":\\"RECORD\\",\\"record\\":{\\"stream\\":\\"a\\",\\"emitted_at\\":1"',
      () => '12345678901234567890.5e-324', () => 'null', () => '"é\u2028\\u00e9\\n"',
      () => (depth > 3 ? '{}' : object(shuffled([['type', pick(['"STATE"', '"LOG"', value(depth + 1)])], ['stream', value(depth + 1)], ['state', value(depth + 1)]]))),
      () => (depth > 3 ? '[]' : `[${value(depth + 1)},${value(depth + 1)}]`),
    ])();
    const expected: string[] = [];
    const counts = streams.map(() => 0);
    const lines: string[] = [];
    for (let i = 0; i < 60; i++) {
      const kind = random();
      const end = pick(['\n', '\n', '\n', '\r\n']);
      if (kind < 0.7) {
        const at = Math.floor(random() * streams.length);
        const { name, namespace } = streams[at]!;
        const members: (readonly [string, string])[] = [['stream', JSON.stringify(name)]];
        if (namespace) members.push(['namespace', JSON.stringify(namespace)]);
        else if (random() < 0.2) members.push(['namespace', 'null']);
        members.push(['emitted_at', '1'], ['data', object([['type', value()], ['x', value()]])]);
        const line = object(shuffled([['type', '"RECORD"'], ['record', object(shuffled(members))]])) + end;
        lines.push(line);
        expected.push(line);
        counts[at]!++;
      } else if (kind < 0.8) {
        lines.push(object(shuffled([['type', '"STATE"'], ['state', value()]])) + end);
        // Only an object is a body; the router hands over whatever says that it is a STATE.
        expected.push(`<state ${expected.filter((text) => text.startsWith('<state')).length + 1}>\n`);
      } else if (kind < 0.9) lines.push(object(shuffled([['type', '"LOG"'], ['log', object([['message', value()]])], ['record', '{"stream":"a"}']])) + end);
      else lines.push(pick(['', '  ', 'no json', '{"a":', '{"record":{"stream":"a"}}', '[{"type":"RECORD"}]']) + end);
    }
    const bytes = Buffer.from(lines.join(''));
    const out: Buffer[] = [];
    for await (const block of readBlocks(chunksOf(bytes, random))) out.push(...router.route(block));
    expect(Buffer.concat(out).toString(), `seed ${seed}`).toBe(expected.join(''));
    expect(table.streams.map(({ records }) => records), `seed ${seed}`).toEqual(counts);
    expect(seen.states.length).toBe(expected.filter((text) => text.startsWith('<state')).length);
    expect(router.lines).toBe([...splitBlock(bytes)].length);
  }

  async function* chunksOf(bytes: Buffer, random: () => number): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + Math.floor(random() ** 3 * 2000);
      yield bytes.subarray(at, at + size);
      at += size;
    }
  }
});

/** mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
